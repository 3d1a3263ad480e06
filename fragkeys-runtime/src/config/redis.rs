//! How Redis is reached: alone, by sentinels, or as a cluster.

use super::{Config, Location};
use crate::tls::Tls;

/// Where the servers are, and how to log in. Never printed: URLs hold passwords.
#[derive(Clone)]
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
pub(crate) struct Servers {
    pub(crate) layout: Layout,
    pub(crate) login: Login,
    pub(crate) tls: Option<Tls>,
}

#[derive(Clone)]
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
pub(crate) enum Layout {
    Single(String),
    Sentinel { urls: Vec<String>, master: String },
    Cluster(Vec<String>),
}

/// What goes before the URLs' own.
#[derive(Clone, Default)]
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
pub(crate) struct Login {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: Option<u32>,
}

impl Config {
    /// A cache in Redis: `redis://[[user]:password@]host[:port][/database]`, or
    /// `redis+unix:///path/to/socket[?db=1&user=…&pass=…]`. With the feature `tls` also
    /// `rediss://`. `valkey://`, `valkeys://`, `valkey+unix://` and `unix://` mean the same.
    ///
    /// It needs Redis 7 or later (or Valkey), and a Tokio runtime with time and I/O enabled, as
    /// `#[tokio::main]` makes it.
    ///
    /// A bad URL is the error of [`build`](Self::build) or [`install`](Self::install). Redis
    /// need not run: the cache connects in the background, and calls run uncached until then.
    pub fn redis(url: impl Into<String>) -> Self {
        Config::in_redis(Layout::Single(url.into()))
    }

    /// A cache in the Redis server that sentinels say is the master of this name.
    ///
    /// The URLs are those of the sentinels, which are asked in turn; a user and a password in
    /// them are the sentinels' own. Those of the servers are given by
    /// [`username`](Self::username), [`password`](Self::password) and
    /// [`database`](Self::database). With `rediss://` both are spoken to by TLS.
    ///
    /// When the connection is lost, or its server is the master no more, the sentinels are asked
    /// again. Calls run uncached meanwhile.
    ///
    /// ```
    /// # use fragkeys_runtime::Config;
    /// let config = Config::redis_sentinel(["redis://10.0.0.1:26379", "redis://10.0.0.2:26379"], "mymaster")
    ///     .password("of the servers");
    /// ```
    pub fn redis_sentinel(
        urls: impl IntoIterator<Item = impl Into<String>>,
        master: impl Into<String>,
    ) -> Self {
        let urls = urls.into_iter().map(Into::into).collect();
        Config::in_redis(Layout::Sentinel { urls, master: master.into() })
    }

    /// A cache in a Redis cluster: URLs of some of its nodes, of which one has to answer. The
    /// others are found, and logged in to alike.
    ///
    /// Keys are spread over all masters, and only these are asked; a look is one round trip to
    /// all masters that have a part of it, at once. While one is away, what stands there is not
    /// cached, and once its replica has taken over, it is again. The version of the whole cache
    /// stands with one of them, and each call depends on it.
    ///
    /// [`also_bump`](Self::also_bump) is not for clusters.
    ///
    /// ```
    /// # use fragkeys_runtime::Config;
    /// let config = Config::redis_cluster(["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"]);
    /// ```
    pub fn redis_cluster(urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Config::in_redis(Layout::Cluster(urls.into_iter().map(Into::into).collect()))
    }

    /// Is it in a cluster?
    pub(super) fn is_cluster(&self) -> bool {
        matches!(&self.location, Location::Redis(servers) if matches!(servers.layout, Layout::Cluster(_)))
    }

    fn in_redis(layout: Layout) -> Self {
        Config::at(Location::Redis(Box::new(Servers {
            layout,
            login: Login::default(),
            tls: None,
        })))
    }

    /// The ACL user to log in as. Default: the one in the URL, or Redis's own `default`.
    pub fn username(self, name: impl Into<String>) -> Self {
        self.with_servers("username", |servers| servers.login.username = Some(name.into()))
    }

    /// The password to log in with; it is never printed. Default: the one in the URL, or none.
    pub fn password(self, password: impl Into<String>) -> Self {
        self.with_servers("password", |servers| servers.login.password = Some(password.into()))
    }

    /// The number of the database. Default: the one in the URL, or 0.
    pub fn database(self, number: u32) -> Self {
        self.with_servers("database", |servers| servers.login.database = Some(number))
    }

    /// What to trust, and which certificate to show, with `rediss://`. Default: the authorities
    /// that this system trusts, and none.
    #[cfg(feature = "tls")]
    pub fn tls(self, tls: Tls) -> Self {
        self.with_servers("tls", |servers| servers.tls = Some(tls))
    }

    /// Changes what only a cache in Redis has; for another one that is a mistake, told later.
    fn with_servers(mut self, setting: &'static str, change: impl FnOnce(&mut Servers)) -> Self {
        match &mut self.location {
            Location::Redis(servers) => change(servers),
            Location::Memory => self.misplaced = Some(setting),
        }
        self
    }
}
