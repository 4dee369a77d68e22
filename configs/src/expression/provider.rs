//! What the planner may know: the allowed functions, the types of columns, and UTC. No table, no variable, no clock.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion_common::config::ConfigOptions;
use datafusion_common::datatype::DataTypeExt;
use datafusion_common::{DataFusionError, Result, TableReference, plan_err};
use datafusion_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion_functions::core::planner::CoreFunctionPlanner;
use datafusion_functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion_functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion_sql::sqlparser::ast;

use super::functions::FUNCTIONS;

pub(super) struct Provider {
    options: Arc<ConfigOptions>,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

pub(super) static PROVIDER: LazyLock<Provider> = LazyLock::new(|| {
    let mut options = ConfigOptions::default();
    options.execution.time_zone = Some("UTC".to_owned());
    let planners: Vec<Arc<dyn ExprPlanner>> =
        vec![Arc::new(CoreFunctionPlanner {}), Arc::new(DatetimeFunctionPlanner), Arc::new(UnicodeFunctionPlanner)];
    Provider { options: Arc::new(options), planners }
});

impl Provider {
    pub(super) const fn shared_options(&self) -> &Arc<ConfigOptions> {
        &self.options
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

impl ContextProvider for Provider {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        plan_err!("there is no table {name} in an expression")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(Types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        FUNCTIONS.get(name).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        FUNCTIONS.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The SQL types that may be cast to, as this project means them: a timestamp is always microseconds UTC.
#[derive(Debug)]
struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        let unknown = || DataFusionError::Plan(format!("the type {sql_type} is not known"));
        sql_data_type(sql_type).map(|t| Some(t.into_nullable_field_ref())).ok_or_else(unknown)
    }
}

/// What [`sql_data_type`] knows, for messages.
pub(super) const SQL_TYPES: &str = "BOOLEAN, INT, BIGINT, REAL, DOUBLE, VARCHAR, DATE, TIMESTAMP";

/// The Arrow type of a SQL type that may be cast to.
pub(super) fn sql_data_type(sql_type: &ast::DataType) -> Option<DataType> {
    use ast::DataType as Sql;
    Some(match sql_type {
        Sql::Boolean | Sql::Bool => DataType::Boolean,
        Sql::Int(None) | Sql::Integer(None) | Sql::Int4(None) => DataType::Int32,
        Sql::BigInt(None) | Sql::Int8(None) => DataType::Int64,
        Sql::Float(ast::ExactNumberInfo::None) | Sql::Real | Sql::Float4 => DataType::Float32,
        Sql::Double(ast::ExactNumberInfo::None) | Sql::DoublePrecision | Sql::Float8 => DataType::Float64,
        Sql::Varchar(None) | Sql::Text | Sql::String(None) => DataType::Utf8,
        Sql::Date => DataType::Date32,
        Sql::Timestamp(None | Some(6), _) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => return None,
    })
}
