//! The suite of all stores, on both forms of the embedded one.

use exedra_hub::metrics::Metrics;
use exedra_store::{RedbStore, conformance};

#[tokio::test]
async fn memory_form_conforms() {
    conformance::run_all(RedbStore::in_memory(Metrics::new()).unwrap()).await;
}

#[tokio::test]
async fn file_form_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conformance::run_all(RedbStore::open(folder.path().join("store.redb"), Metrics::new()).unwrap()).await;
}
