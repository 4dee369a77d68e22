//! Rows spread over partitions by the hash of their entity: a permutation per batch, slices of it per partition.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use parking_lot::Mutex;

use super::spill::{Scratch, Spill};
use super::{PARTITIONS, partition_of};
use crate::error::Result;

/// The partitions of one signal. Filled by many tasks, then taken one after the other.
#[derive(Debug)]
pub struct Partitions {
    schema: SchemaRef,
    /// Bytes.
    budget: usize,
    held: Mutex<Held>,
    /// After what lies in it.
    scratch: Arc<Scratch>,
}

#[derive(Debug, Default)]
struct Held {
    /// Per partition: slices of permuted batches.
    slices: Vec<Vec<RecordBatch>>,
    bytes: usize,
    spills: Vec<Spill>,
}

/// A batch in the order of partitions.
#[derive(Debug)]
pub struct Spread {
    rows: RecordBatch,
    /// Where each partition begins; one more at the end.
    starts: Vec<u32>,
}

impl Spread {
    /// `hashes`: of the rows' entities.
    ///
    /// # Errors
    /// When a column cannot be permuted.
    pub fn new(rows: &RecordBatch, hashes: &[i64]) -> Result<Self> {
        let mut starts = vec![0u32; PARTITIONS as usize + 1];
        for hash in hashes {
            starts[partition_of(*hash) as usize + 1] += 1;
        }
        for partition in 0..PARTITIONS as usize {
            starts[partition + 1] += starts[partition];
        }
        let mut next = starts.clone();
        let mut order = vec![0u32; hashes.len()];
        for (row, hash) in (0u32..).zip(hashes) {
            let place = &mut next[partition_of(*hash) as usize];
            order[*place as usize] = row;
            *place += 1;
        }
        Ok(Self { rows: take_record_batch(rows, &UInt32Array::from(order))?, starts })
    }
}

impl Partitions {
    /// `budget`: bytes that are held before they go to a file in `scratch`.
    pub fn new(schema: SchemaRef, budget: usize, scratch: Arc<Scratch>) -> Self {
        let held = Held { slices: vec![Vec::new(); PARTITIONS as usize], ..Held::default() };
        Self { schema, budget, held: Mutex::new(held), scratch }
    }

    /// Keeps a batch; everything that is held is spilled when it is more than the budget.
    ///
    /// # Errors
    /// When a scratch file cannot be written.
    pub fn add(&self, spread: &Spread) -> Result<()> {
        let mut held = self.held.lock();
        held.bytes += spread.rows.get_array_memory_size();
        for (slices, ends) in held.slices.iter_mut().zip(spread.starts.windows(2)) {
            if ends[0] < ends[1] {
                slices.push(spread.rows.slice(ends[0] as usize, (ends[1] - ends[0]) as usize));
            }
        }
        if held.bytes <= self.budget {
            return Ok(());
        }
        let slices = std::mem::replace(&mut held.slices, vec![Vec::new(); PARTITIONS as usize]);
        let spill = Spill::write(&self.scratch, &self.schema, slices)?;
        held.spills.push(spill);
        held.bytes = 0;
        Ok(())
    }

    /// All rows of a partition, in any order. They are not kept.
    ///
    /// # Errors
    /// When a scratch file cannot be read.
    pub fn take(&self, partition: u32) -> Result<RecordBatch> {
        let mut held = self.held.lock();
        let slices = held.slices.get_mut(partition as usize).map(std::mem::take).unwrap_or_default();
        let mut batches = held.spills.iter_mut().map(|spill| spill.read(partition as usize)).collect::<Result<Vec<_>>>()?;
        drop(held);
        batches.extend(slices);
        Ok(concat_batches(&self.schema, &batches)?)
    }
}
