//! Coming in: who may connect, how those who may not are told, and how long they had better wait.

use exedra_sdk::prelude::*;

use crate::{
    PublicRooms,
    address::Address,
    names::{self, check_id},
    settings::RefuseBy,
    trouble::{Trouble, tell},
    wire::{Backoff, RefusedConnect},
};

/// Refusals of an address that are remembered.
const REMEMBERED: u64 = 16;

impl PublicRooms {
    /// Lets a connection in, or refuses it in the way that it wants to be refused.
    pub(crate) async fn let_in(&self, conn: &Conn) -> Result<()> {
        let (address, placed) = match self.address_of(conn).await {
            Ok(address) => {
                let placed = self.place(conn, &address).await;
                (Some(address), placed)
            }
            Err(error) => (None, Err(error)),
        };
        placed.or_else(|error| {
            let error = Trouble::ConnectionError.over(error);
            self.count_error(&error);
            self.refuse(conn, address.as_ref(), &error)
        })
    }

    /// The address of a connection.
    pub(crate) async fn address_of(&self, conn: &Conn) -> Result<Address> {
        let ip = conn.peer().ok_or_else(|| Trouble::ConnectionError.because("the address is not known"))?;
        self.addresses.of(ip, &self.hub.kv()).await
    }

    async fn place(&self, conn: &Conn, address: &Address) -> Result<()> {
        let room = room_id(conn)?;
        self.count_in(conn, address).await?;
        self.hub.room(names::audience(room)).join(conn, &())?;
        // From now on the connection hears the room; whoever came before this moment must be told of.
        self.watch.heard(conn);
        Ok(())
    }

    /// Takes one of the places that an address has. A place lasts as long as the connection, but not longer than
    /// `stale_after`: then the next one may have it.
    async fn count_in(&self, conn: &Conn, address: &Address) -> Result<()> {
        let places = self.hub.room(names::connections(address));
        let claim =
            || places.claim_as(conn, conn.public_id(), &(), u64::from(self.settings.connections_per_ip));
        let joined = match claim().await {
            Err(error) if error.code == Code::Busy && self.drop_stale(&places)? => claim().await,
            joined => joined,
        };
        joined.map(drop).map_err(|error| match error.code {
            Code::Busy => {
                let most = self.settings.connections_per_ip;
                Trouble::TooManyConnections
                    .because(format!("Maximum {most} concurrent connections per IP address"))
            }
            _ => error,
        })
    }

    fn drop_stale(&self, places: &Room) -> Result<bool> {
        let mut dropped = false;
        for member in places.members::<Value>()? {
            if self.is_stale(&member) {
                dropped |= places.leave_user(&member.user).is_ok();
            }
        }
        Ok(dropped)
    }

    fn is_stale<M>(&self, member: &MemberOf<M>) -> bool {
        self.settings.stale_after.is_over(member.joined_at_ms, self.hub.now_ms())
    }

    /// How many connections an address has.
    pub(crate) async fn connection_count(&self, ip: &str) -> Result<u64> {
        let ip: IpAddr =
            ip.trim().parse().map_err(|_| Trouble::InvalidRequest.because("ipAddress is no address"))?;
        let address = self.addresses.of(ip, &self.hub.kv()).await?;
        let members = self.hub.room(names::connections(&address)).members::<Value>()?;
        Ok(members.iter().filter(|member| !self.is_stale(member)).count() as u64)
    }

    fn refuse(&self, conn: &Conn, address: Option<&Address>, error: &Error) -> Result<()> {
        let backoff = self.backoff(conn, address);
        if self.refuse_by(conn) == RefuseBy::ConnectError {
            return Err(error.clone().with_body(RefusedConnect {
                code: error.code_str(),
                message: &error.message,
                retryable: error.code != Code::Invalid,
                retry_after: backoff.retry_after,
                attempt: backoff.attempt,
            }));
        }
        conn.emit("backoff", &backoff)?;
        tell(conn, error);
        conn.disconnect()
    }

    /// The client's own choice, else the setting.
    fn refuse_by(&self, conn: &Conn) -> RefuseBy {
        let wanted = conn.auth().get("refuseBy").cloned();
        wanted.and_then(|wanted| serde_json::from_value(wanted).ok()).unwrap_or(self.settings.refuse_by)
    }

    /// Counts a refusal; the more there were lately, the longer the next attempt should wait.
    pub(crate) fn backoff(&self, conn: &Conn, address: Option<&Address>) -> Backoff {
        let (first, longest) = (self.settings.backoff_first.as_ms(), self.settings.backoff_longest);
        let attempt = address.and_then(|address| {
            let refusals = self.hub.room(names::refusals(address));
            let counted = refusals.join_user_max(conn.public_id(), &(), longest.0, REMEMBERED);
            counted.map(|joined| joined.members).or_else(|_| refusals.count()).ok()
        });
        let attempt = attempt.unwrap_or(1).max(1);
        let doubled = first.saturating_mul(1 << (attempt - 1).min(REMEMBERED));
        Backoff { retry_after: doubled.min(longest.as_ms()), attempt }
    }
}

/// The client did not answer its pings: it is told, and disconnected.
pub(crate) fn time_out(conn: &Conn, errors: &Counter) {
    let error = Trouble::ConnectionTimeout.because("Connection terminated due to inactivity");
    errors.with(error.code_str()).inc();
    tell(conn, &error);
    if let Err(gone) = conn.disconnect() {
        exedra_sdk::debug!("not disconnected: {gone}");
    }
}

/// The room that a connection is in the namespace of.
pub(crate) fn room_id(conn: &Conn) -> Result<&str> {
    let room = conn.param("roomId").unwrap_or_default();
    check_id(room, "Room ID")?;
    Ok(room)
}
