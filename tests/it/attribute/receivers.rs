//! Functions, and methods of every receiver.

use std::sync::Arc;

use fragkeys::tagged_cache;

use super::{Runs, assert_caches, assert_hits, assert_runs, in_new_cache};

#[tagged_cache(vary_on = [user_id])]
async fn free(user_id: u64, runs: &Runs) -> u64 {
    runs.add();
    user_id + 1
}

#[tokio::test]
async fn free_function() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || free(1, &runs)).await, 2);
        assert_eq!(assert_caches(&runs, || free(2, &runs)).await, 3);
    })
    .await;
}

#[tokio::test]
async fn function_in_a_function() {
    #[tagged_cache(vary_on = [user_id])]
    async fn local(user_id: u64, runs: &Runs) -> u64 {
        runs.add();
        user_id
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || local(1, &runs)).await, 1);
    })
    .await;
}

#[derive(Clone, Debug, PartialEq)]
struct Users {
    tenant: u64,
    seen: u64,
}

impl Users {
    fn of(tenant: u64) -> Users {
        Users { tenant, seen: 0 }
    }

    #[tagged_cache(vary_on = [tenant])]
    async fn associated(tenant: u64, runs: &Runs) -> u64 {
        runs.add();
        tenant
    }

    #[tagged_cache(vary_on = [self.tenant, user_id])]
    async fn by_reference(&self, user_id: u64, runs: &Runs) -> (u64, u64) {
        runs.add();
        (self.tenant, user_id)
    }

    #[tagged_cache(vary_on = [self.tenant, user_id])]
    async fn by_mutable_reference(&mut self, user_id: u64, runs: &Runs) -> u64 {
        runs.add();
        self.seen += user_id;
        self.seen
    }

    #[tagged_cache(vary_on = [self.tenant])]
    async fn by_value(self, runs: &Runs) -> u64 {
        runs.add();
        self.tenant
    }

    #[tagged_cache(vary_on = [self.tenant])]
    async fn by_mutable_value(mut self, runs: &Runs) -> u64 {
        runs.add();
        self.tenant += 1;
        self.tenant
    }

    #[tagged_cache(vary_on = [self.tenant])]
    async fn by_arc(self: Arc<Self>, runs: &Runs) -> u64 {
        runs.add();
        self.tenant
    }

    #[tagged_cache(vary_on = [self.tenant])]
    async fn by_reference_to_arc(self: &Arc<Self>, runs: &Runs) -> u64 {
        runs.add();
        self.tenant
    }

    #[tagged_cache(vary_on = [])]
    async fn same_for_all(&self, runs: &Runs) -> u64 {
        runs.add();
        self.tenant
    }
}

#[tokio::test]
async fn associated_function() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || Users::associated(7, &runs)).await, 7);
    })
    .await;
}

#[tokio::test]
async fn method_by_reference() {
    in_new_cache(async {
        let runs = Runs::default();
        let (one, two) = (Users::of(1), Users::of(2));
        assert_eq!(assert_caches(&runs, || one.by_reference(5, &runs)).await, (1, 5));
        assert_eq!(assert_caches(&runs, || two.by_reference(5, &runs)).await, (2, 5));
    })
    .await;
}

#[tokio::test]
async fn method_by_mutable_reference() {
    in_new_cache(async {
        let runs = Runs::default();
        let mut users = Users::of(1);
        assert_eq!(assert_runs(&runs, users.by_mutable_reference(5, &runs)).await, 5);
        assert_eq!(assert_hits(&runs, users.by_mutable_reference(5, &runs)).await, 5);
        assert_eq!(users.seen, 5, "the body ran once");
        assert_eq!(assert_runs(&runs, users.by_mutable_reference(6, &runs)).await, 11);
    })
    .await;
}

#[tokio::test]
async fn method_by_value() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || Users::of(3).by_value(&runs)).await, 3);
        assert_eq!(assert_caches(&runs, || Users::of(3).by_mutable_value(&runs)).await, 4);
    })
    .await;
}

#[tokio::test]
async fn method_of_an_arc() {
    in_new_cache(async {
        let runs = Runs::default();
        let users = Arc::new(Users::of(4));
        assert_eq!(assert_caches(&runs, || users.clone().by_arc(&runs)).await, 4);
        assert_eq!(assert_caches(&runs, || users.by_reference_to_arc(&runs)).await, 4);
    })
    .await;
}

#[tokio::test]
async fn method_that_depends_on_nothing() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_runs(&runs, Users::of(1).same_for_all(&runs)).await, 1);
        assert_eq!(assert_hits(&runs, Users::of(2).same_for_all(&runs)).await, 1);
    })
    .await;
}

trait Load {
    async fn load(&self, id: u64, runs: &Runs) -> String;

    fn name(&self) -> &str;

    #[tagged_cache(vary_on = [id], tags = [self.name()])]
    async fn load_by_default(&self, id: u64, runs: &Runs) -> String {
        runs.add();
        format!("{}:{id}", self.name())
    }
}

impl Load for Users {
    #[tagged_cache(vary_on = [self.tenant, id])]
    async fn load(&self, id: u64, runs: &Runs) -> String {
        runs.add();
        format!("{}:{id}", self.tenant)
    }

    fn name(&self) -> &str {
        "users"
    }
}

#[tokio::test]
async fn method_of_a_trait() {
    in_new_cache(async {
        let runs = Runs::default();
        let users = Users::of(1);
        assert_eq!(assert_caches(&runs, || users.load(7, &runs)).await, "1:7");
        assert_eq!(assert_caches(&runs, || users.load_by_default(7, &runs)).await, "users:7");
    })
    .await;
}
