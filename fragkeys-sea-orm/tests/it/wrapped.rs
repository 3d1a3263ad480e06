//! A connection of a type that is not SeaORM's, which can do what SQLite's does not.

use std::sync::Mutex;

use sea_orm::prelude::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};

pub(crate) struct Wrapped {
    db: DatabaseConnection,
    backend: DbBackend,
    returning: bool,
    sent: Mutex<Vec<String>>,
    meanwhile: Option<(usize, &'static str)>,
}

impl Wrapped {
    pub(crate) fn new(db: &DatabaseConnection) -> Self {
        let (db, backend) = (db.clone(), DbBackend::Sqlite);
        Wrapped { db, backend, returning: true, sent: Mutex::default(), meanwhile: None }
    }

    /// To a database that cannot give back what it changed, as MySQL is one.
    pub(crate) fn without_returning(db: &DatabaseConnection) -> Self {
        Wrapped { returning: false, ..Wrapped::new(db) }
    }

    /// Statements are written as for this database; SQLite need not understand them.
    pub(crate) fn speaking(db: &DatabaseConnection, backend: DbBackend) -> Self {
        Wrapped { backend, ..Wrapped::new(db) }
    }

    /// Somebody else runs this before the statement of this number, the first being 0.
    pub(crate) fn meanwhile(self, number: usize, sql: &'static str) -> Self {
        Wrapped { meanwhile: Some((number, sql)), ..self }
    }

    /// All statements so far.
    pub(crate) fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }

    async fn before(&self, statement: &Statement) -> Result<(), DbErr> {
        let number = {
            let mut sent = self.sent.lock().unwrap();
            sent.push(statement.sql.clone());
            sent.len() - 1
        };
        match self.meanwhile {
            Some((at, sql)) if at == number => self.db.execute_unprepared(sql).await.map(drop),
            _ => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Wrapped {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.before(&statement).await?;
        self.db.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.db.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.before(&statement).await?;
        self.db.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.before(&statement).await?;
        self.db.query_all_raw(statement).await
    }

    fn support_returning(&self) -> bool {
        self.returning
    }
}
