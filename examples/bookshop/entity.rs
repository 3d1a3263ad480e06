//! The tables, one module each: a model, what depends on it, and one line that connects the
//! two to SeaORM's hooks. All that is ever invalidated is said here.
//!
//! | tag | changes with |
//! |---|---|
//! | `Books:<id>`, `Authors:<id>`, … | that row |
//! | `Books`, `Authors` | any row: for searches, and lists that show names |
//! | `Books:author:<id>`, `Books:publisher:<id>` | a book that comes, goes or changes there |
//! | `Reviews:book:<id>`, `Lines:book:<id>` | a review, or a sale, of that book |
//! | `Orders:customer:<name>` | an order of that customer |

pub(crate) mod author;
pub(crate) mod book;
pub(crate) mod line;
pub(crate) mod order;
pub(crate) mod publisher;
pub(crate) mod review;
pub(crate) mod stock;
