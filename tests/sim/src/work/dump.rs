//! Everything that can be seen of the book, line by line.

use berth_core::work::{Book, Receipt, UnitKey, UnitQuery, WorkerId};

use super::scene::{WORKERS, all_paths};

pub(super) fn dump(book: &Book) -> Vec<String> {
    let mut lines = Vec::new();
    for name in book.spec_names_from(None) {
        let settings = book.spec_settings(name).expect("it was listed");
        let meta = book.spec_meta(name).expect("it was listed");
        lines.push(format!("{settings:?} {meta:?} {:?}", book.count_units(name)));
        let query = UnitQuery { limit: usize::MAX, ..UnitQuery::default() };
        let units = book.units(name, &query).expect("it was listed");
        let keys: Vec<UnitKey> = units.iter().map(|(key, _)| key.clone()).collect();
        let views = book.unit_status(name, &keys).expect("it was listed");
        lines.extend(keys.iter().zip(views).map(|(key, view)| format!("{name} {key}: {view:?}")));
    }
    lines.push(format!("{:?} {:?}", book.worker_modes(), book.worker_stats()));
    for worker in WORKERS {
        let worker = WorkerId::from(worker);
        // Since when nothing was heard of it is not kept exactly.
        let info = book.worker_info(&worker).map(|info| (info.data, info.mode, info.parent, info.expires));
        lines.push(format!("{worker} {info:?} {:?}", book.child_units(&worker)));
    }
    lines.push(format!("{:?}", book.lock_owners(&all_paths())));
    lines.extend(book.locks().iter().map(|lock| format!("{:?} {:?} until {:?}", lock.path, lock.locker, lock.until)));
    lines.extend(book.receipts().map(|row| match row.receipt {
        Receipt::Said(said) => format!("{:?} said {said:?}", row.call),
        Receipt::Handed { worker, units, .. } => format!("{:?} {worker} {units:?}", row.call),
    }));
    lines
}
