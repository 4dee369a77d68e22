//! Files that are written from the code: each must be what the code would write now. `TRESS_BLESS=1` writes them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tress_crds::generate;

#[test]
fn what_is_checked_in_is_what_the_kinds_say() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = generate::files().unwrap();
    let folder = repository.join("crds/yaml");
    if std::env::var_os("TRESS_BLESS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for file in &files {
            fs::write(repository.join(&file.path), &file.text).unwrap();
        }
    }
    for file in &files {
        let found = fs::read_to_string(repository.join(&file.path)).unwrap_or_default();
        assert!(
            found == file.text,
            "{} is stale: run TRESS_BLESS=1 cargo test -p tress-crds, and look at the difference",
            repository.join(&file.path).display()
        );
    }
    let there: BTreeSet<String> =
        fs::read_dir(&folder).unwrap().map(|f| format!("crds/yaml/{}", f.unwrap().file_name().to_str().unwrap())).collect();
    let wanted: BTreeSet<String> = files.iter().map(|f| f.path.clone()).filter(|p| p.starts_with("crds/yaml/")).collect();
    assert_eq!(there, wanted);
}
