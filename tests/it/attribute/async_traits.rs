//! Under `#[async_trait]`, which makes a boxed future of the method before the attribute sees it.

use std::sync::Arc;

use async_trait::async_trait;
use fragkeys::{invalidate, tagged_cache};

use super::{Runs, assert_caches, assert_runs, in_new_cache};

#[async_trait]
trait Users: Send + Sync {
    fn tenant(&self) -> u64;

    async fn profile(&self, id: u64, runs: &Runs) -> Result<String, Box<dyn std::error::Error>>;

    async fn rename(&mut self, name: &str, runs: &Runs) -> String;

    async fn consume(self: Arc<Self>, runs: &Runs) -> u64;

    #[tagged_cache(vary_on = [id], tags = ["Default:<id>"])]
    async fn by_default(&self, id: u64, runs: &Runs) -> Option<u64>
    where
        Self: Sized,
    {
        runs.add();
        (id > 0).then_some(id)
    }
}

struct Table {
    tenant: u64,
    name: String,
}

#[async_trait]
impl Users for Table {
    fn tenant(&self) -> u64 {
        self.tenant
    }

    #[tagged_cache(vary_on = [self.tenant, id], tags = ["Tenant:<self.tenant>", "User:<id>"])]
    async fn profile(&self, id: u64, runs: &Runs) -> Result<String, Box<dyn std::error::Error>> {
        runs.add();
        if id == 0 {
            return Err("nobody".into());
        }
        let id = "User:".len() as u64 + "5".parse::<u64>()? + id;
        Ok(format!("{}:{id}", self.tenant()))
    }

    #[tagged_cache(vary_on = [self.tenant, name])]
    async fn rename(&mut self, name: &str, runs: &Runs) -> String {
        runs.add();
        self.name = name.to_owned();
        self.name.clone()
    }

    #[tagged_cache(vary_on = [self.tenant])]
    async fn consume(self: Arc<Self>, runs: &Runs) -> u64 {
        runs.add();
        self.tenant
    }
}

fn table(tenant: u64) -> Table {
    Table { tenant, name: String::new() }
}

#[tokio::test]
async fn method() {
    in_new_cache(async {
        let runs = Runs::default();
        let (one, two) = (table(1), table(2));
        let call = |table: &'static str, id| {
            let users: &dyn Users = if table == "one" { &one } else { &two };
            let runs = &runs;
            async move { users.profile(id, runs).await.unwrap() }
        };
        assert_eq!(assert_caches(&runs, || call("one", 7)).await, "1:17");
        assert_eq!(assert_caches(&runs, || call("two", 7)).await, "2:17");
        let tenant = 1;
        invalidate!("Tenant:<tenant>").await.unwrap();
        assert_runs(&runs, call("one", 7)).await;
    })
    .await;
}

#[tokio::test]
async fn error_is_not_cached() {
    in_new_cache(async {
        let runs = Runs::default();
        let users = table(1);
        for _ in 0..2 {
            let error = assert_runs(&runs, users.profile(0, &runs)).await.unwrap_err();
            assert_eq!(error.to_string(), "nobody");
        }
    })
    .await;
}

#[tokio::test]
async fn mutable_and_shared_receivers() {
    in_new_cache(async {
        let runs = Runs::default();
        let mut users = table(1);
        assert_eq!(assert_runs(&runs, users.rename("Ada", &runs)).await, "Ada");
        let users = Arc::new(users);
        assert_eq!(assert_caches(&runs, || users.clone().consume(&runs)).await, 1);
    })
    .await;
}

#[tokio::test]
async fn default_method() {
    in_new_cache(async {
        let runs = Runs::default();
        let users = table(1);
        assert_eq!(assert_caches(&runs, || users.by_default(7, &runs)).await, Some(7));
        assert_eq!(assert_caches(&runs, || users.by_default(0, &runs)).await, None);
    })
    .await;
}

#[tokio::test]
async fn future_is_send() {
    let runs = Runs::default();
    let users = table(1);
    super::futures::assert_send(&users.profile(7, &runs));
}
