//! The ports: what the rest of Exedra implements for the hub. Each is small and states its guarantees.

mod auth;
mod bus;
mod clock;
mod cluster;
mod intake;
mod plugins;
mod store;

pub use auth::{AuthFailure, Authenticator};
pub use bus::{Bus, BusError, BusMessage, BusState, Interest, Messages, Topic};
pub use clock::Clock;
pub use cluster::{Address, Cluster, Ears, Place, Point};
pub use intake::{Deliveries, Delivery, Intake, Slip, Taking};
pub use plugins::{Call, ConnFacts, HttpRequest, HttpResponse, PluginId, Plugins, Reply};
pub use store::{Entry, Revision, Store, StoreError};
