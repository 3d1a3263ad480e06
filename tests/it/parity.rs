//! Each public name of the Python packages `fragmented_keys` and `fragmented_keys_django`, and
//! what there is for it here. `fragkeys/docs/parity.md` is the table; `table` holds it to the
//! real packages and to these tests.

mod caches;
mod functions;
mod keys;
mod models;
mod rings;
mod table;
mod tags;
