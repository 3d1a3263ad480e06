//! What a client is told when its request fails: a status and a JSON body with a message.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sea_orm::{DbErr, SqlErr};
use serde_json::json;

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The client's fault, with words for it.
    Refused(StatusCode, String),
    /// Ours. The client learns nothing of it, the log all.
    Database(DbErr),
}

impl Error {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Error::Refused(StatusCode::BAD_REQUEST, message.into())
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Error::Refused(StatusCode::NOT_FOUND, message.into())
    }

    pub(crate) fn missing(what: &str, id: i64) -> Self {
        Error::not_found(format!("there is no {what} {id}"))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Error::Refused(status, message) => (status, message),
            Error::Database(error) => {
                tracing::error!("the database failed: {error}");
                let message = "something went wrong here; it is in the log".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, message)
            }
        };
        (status, Json(json!({ "error": message }))).into_response()
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match error.sql_err() {
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => {
                Error::not_found("there is no such book, author or publisher")
            }
            _ => Error::Database(error),
        }
    }
}

impl From<JsonRejection> for Error {
    fn from(rejection: JsonRejection) -> Self {
        // 400 where axum says 422: the client need not tell malformed from unexpected JSON.
        let status = match rejection.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        Error::Refused(status, rejection.body_text())
    }
}

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        Error::Refused(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Error::Refused(rejection.status(), rejection.body_text())
    }
}
