//! Addresses of clients, made unrecognisable: what is counted and stored is SHA-256 over a salt of this installation
//! and the address. An IPv6 client owns a /64, so that is what counts as one; an IPv4 address in IPv6 form is IPv4.

use std::sync::OnceLock;

use exedra_sdk::{keys, prelude::*, random};

/// Where the salt is stored.
const SALT_KEY: &str = "salt";

/// An address that can be compared and counted, but not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    /// The digest as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Makes [`Address`]es; reads the salt once.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    salt: OnceLock<String>,
}

impl Addresses {
    /// The address of a client.
    pub(crate) async fn of(&self, ip: IpAddr, kv: &exedra_sdk::Kv) -> Result<Address> {
        let salt = match self.salt.get() {
            Some(salt) => salt,
            None => {
                let salt = stored_salt(kv).await?;
                self.salt.get_or_init(|| salt)
            }
        };
        Ok(Address(keys::digest(&[salt.as_bytes(), &folded(ip)].concat())))
    }
}

/// The salt of this installation; the first that asks makes it, and of several at once one wins.
async fn stored_salt(kv: &exedra_sdk::Kv) -> Result<String> {
    if let Some(found) = kv.get(SALT_KEY).await? {
        return Ok(found.value);
    }
    let fresh = random::hex(&random::bytes::<32>()?);
    match kv.create(SALT_KEY, &fresh).await {
        Ok(_) => Ok(fresh),
        Err(error) if error.code == Code::Conflict => {
            let found = kv.get(SALT_KEY).await?;
            found.map(|found| found.value).ok_or_else(|| Error::unavailable("the salt has gone"))
        }
        Err(error) => Err(error),
    }
}

/// The part of an address that stands for one client.
fn folded(ip: IpAddr) -> Vec<u8> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => [&[4], &ip.octets()[..]].concat(),
        IpAddr::V6(ip) => [&[6], &ip.octets()[..8]].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<u8> {
        folded(text.parse().unwrap())
    }

    #[test]
    fn one_slash64_is_one() {
        let inside = |n: u16| folded(IpAddr::from([0x2001, 0xdb8, 1, 2, n, n ^ 0x5555, 7, n]));
        assert!((0..10_000).all(|n| inside(n) == inside(0)));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
        assert_ne!(of("::"), of("0.0.0.0"));
    }
}
