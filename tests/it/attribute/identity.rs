//! I4: which functions are the same to the cache, and which are not.

use std::marker::PhantomData;

use fragkeys::{Outcome, observe, tagged_cache};

use super::{Runs, assert_caches, assert_runs, in_new_cache};

mod users {
    #[fragkeys::tagged_cache(vary_on = [id])]
    pub(super) async fn get(id: u64, runs: &super::Runs) -> String {
        runs.add();
        format!("user {id}")
    }
}

mod orders {
    #[fragkeys::tagged_cache(vary_on = [id])]
    pub(super) async fn get(id: u64, runs: &super::Runs) -> String {
        runs.add();
        format!("order {id}")
    }
}

#[tokio::test]
async fn functions_of_one_name_in_two_modules() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || users::get(7, &runs)).await, "user 7");
        assert_eq!(assert_caches(&runs, || orders::get(7, &runs)).await, "order 7");
    })
    .await;
}

struct Users;
struct Orders;

impl Users {
    #[tagged_cache(vary_on = [id])]
    async fn get(&self, id: u64, runs: &Runs) -> String {
        runs.add();
        format!("user {id}")
    }
}

impl Orders {
    #[tagged_cache(vary_on = [id])]
    async fn get(&self, id: u64, runs: &Runs) -> String {
        runs.add();
        format!("order {id}")
    }
}

#[tokio::test]
async fn methods_of_one_name_in_two_impls() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || Users.get(7, &runs)).await, "user 7");
        assert_eq!(assert_caches(&runs, || Orders.get(7, &runs)).await, "order 7");
    })
    .await;
}

trait Load {
    const NAME: &'static str;

    async fn load(&self, id: u64, runs: &Runs) -> String;

    #[tagged_cache(vary_on = [id])]
    async fn load_by_default(&self, id: u64, runs: &Runs) -> String {
        runs.add();
        format!("{} {id}", Self::NAME)
    }
}

impl Load for Users {
    const NAME: &'static str = "user";

    #[tagged_cache(vary_on = [id])]
    async fn load(&self, id: u64, runs: &Runs) -> String {
        runs.add();
        format!("user {id}")
    }
}

impl Load for Orders {
    const NAME: &'static str = "order";

    #[tagged_cache(vary_on = [id])]
    async fn load(&self, id: u64, runs: &Runs) -> String {
        runs.add();
        format!("order {id}")
    }
}

#[tokio::test]
async fn one_trait_of_two_types() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || Users.load(7, &runs)).await, "user 7");
        assert_eq!(assert_caches(&runs, || Orders.load(7, &runs)).await, "order 7");
    })
    .await;
}

#[tokio::test]
async fn default_method_of_two_types() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || Users.load_by_default(7, &runs)).await, "user 7");
        assert_eq!(assert_caches(&runs, || Orders.load_by_default(7, &runs)).await, "order 7");
    })
    .await;
}

/// Two traits with one method name, on one type.
#[tokio::test]
async fn two_traits_of_one_type() {
    trait Other {
        async fn load(&self, id: u64, runs: &Runs) -> String;
    }
    impl Other for Users {
        #[tagged_cache(vary_on = [id])]
        async fn load(&self, id: u64, runs: &Runs) -> String {
            runs.add();
            format!("other {id}")
        }
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || Load::load(&Users, 7, &runs)).await, "user 7");
        assert_eq!(assert_caches(&runs, || Other::load(&Users, 7, &runs)).await, "other 7");
    })
    .await;
}

#[tagged_cache(vary_on = [])]
async fn name_of<T>(runs: &Runs) -> String {
    runs.add();
    std::any::type_name::<T>().to_owned()
}

#[tokio::test]
async fn generic_instances() {
    in_new_cache(async {
        let runs = Runs::default();
        let name = assert_caches(&runs, || name_of::<Users>(&runs)).await;
        assert!(name.ends_with("Users"));
        let name = assert_caches(&runs, || name_of::<Orders>(&runs)).await;
        assert!(name.ends_with("Orders"));
    })
    .await;
}

struct Table<T, const WIDTH: usize = 1>(PhantomData<T>);

impl<T, const WIDTH: usize> Table<T, WIDTH> {
    #[tagged_cache(vary_on = [])]
    async fn load(runs: &Runs) -> (String, usize) {
        runs.add();
        (std::any::type_name::<T>().to_owned(), WIDTH)
    }

    #[tagged_cache(vary_on = [], key_name = "table")]
    async fn load_by_name(&self, runs: &Runs) -> (String, usize) {
        runs.add();
        (std::any::type_name::<T>().to_owned(), WIDTH)
    }
}

/// `T` is in the `impl`'s head and nowhere in the method's.
#[tokio::test]
async fn generic_arguments_of_the_impl() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || Table::<u8>::load(&runs)).await, ("u8".to_owned(), 1));
        assert_eq!(assert_caches(&runs, || Table::<u16>::load(&runs)).await, ("u16".to_owned(), 1));
        assert_eq!(
            assert_caches(&runs, || Table::<u8, 2>::load(&runs)).await,
            ("u8".to_owned(), 2)
        );
    })
    .await;
}

#[tokio::test]
async fn generic_arguments_under_a_key_name() {
    in_new_cache(async {
        let runs = Runs::default();
        let (a, b, c) =
            (Table::<u8>(PhantomData), Table::<u16>(PhantomData), Table::<u8, 2>(PhantomData));
        assert_eq!(assert_caches(&runs, || a.load_by_name(&runs)).await, ("u8".to_owned(), 1));
        assert_eq!(assert_caches(&runs, || b.load_by_name(&runs)).await, ("u16".to_owned(), 1));
        assert_eq!(assert_caches(&runs, || c.load_by_name(&runs)).await, ("u8".to_owned(), 2));
    })
    .await;
}

#[tokio::test]
async fn const_generic_instances() {
    #[tagged_cache(vary_on = [])]
    async fn width<const N: usize>(runs: &Runs) -> usize {
        runs.add();
        N
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || width::<1>(&runs)).await, 1);
        assert_eq!(assert_caches(&runs, || width::<2>(&runs)).await, 2);
    })
    .await;
}

/// Their paths do not tell them apart, and their return types do not either.
mod alike {
    use super::Runs;

    pub(super) mod first {
        #[fragkeys::tagged_cache(vary_on = [id], key_name = "identity-twins")]
        pub(in super::super) async fn get(id: u64, runs: &super::Runs) -> String {
            runs.add();
            format!("first {id}")
        }
    }

    pub(super) mod second {
        #[fragkeys::tagged_cache(vary_on = [id], key_name = "identity-twins")]
        pub(in super::super) async fn get(id: u64, runs: &super::Runs) -> String {
            runs.add();
            format!("second {id}")
        }
    }
}

/// Nothing tells their entries apart, so the one that is called later is not cached.
#[tokio::test]
async fn two_functions_with_one_identity() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || alike::first::get(7, &runs)).await, "first 7");
        for _ in 0..2 {
            let (value, outcome) = assert_runs(&runs, observe(alike::second::get(7, &runs))).await;
            assert_eq!((value.as_str(), outcome), ("second 7", Some(Outcome::Bypass)));
        }
        assert_eq!(alike::first::get(7, &runs).await, "first 7");
    })
    .await;
}

/// Two functions of one path: the compiler numbers neither blocks nor closures' bodies.
#[tokio::test]
async fn functions_of_one_name_in_two_blocks() {
    in_new_cache(async {
        let runs = Runs::default();
        let first = {
            #[tagged_cache(vary_on = [])]
            async fn get(runs: &Runs) -> u8 {
                runs.add();
                1
            }
            get(&runs).await
        };
        let second = {
            #[tagged_cache(vary_on = [])]
            async fn get(runs: &Runs) -> u8 {
                runs.add();
                2
            }
            get(&runs).await
        };
        assert_eq!((first, second), (1, 2));
    })
    .await;
}
