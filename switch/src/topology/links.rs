//! The links of all suppliers: what they dial, and where suppliers dial in.

use super::StartError;
use crate::door::{Door, DoorHandle};
use crate::link::{Link, Way};
use crate::settings::{LinkSettings, Settings, SupplierSettings};
use crate::tls::DialTls;
use std::net::SocketAddr;
use std::sync::Arc;

/// The ways of every supplier's links. Listeners are bound, and do not listen yet.
pub(super) fn ways(settings: &Settings, door: &mut Door) -> Result<Vec<Vec<Way>>, StartError> {
    let mut way = |supplier: &SupplierSettings, link: &LinkSettings| match link {
        LinkSettings::Listen(listen) => Ok(Way::Berth(door.berth(supplier, listen, &settings.data)?)),
        LinkSettings::Dial(dial) => {
            let tls = dial.tls.clone().map(|tls| DialTls::new(tls, &settings.data)).transpose();
            let tls = tls.map_err(|source| StartError::Tls { supplier: supplier.code.clone(), source })?;
            Ok(Way::Dial(dial.clone(), tls.map(Arc::new)))
        }
    };
    let ways = |supplier: &SupplierSettings| supplier.links.iter().map(|link| way(supplier, link)).collect();
    settings.suppliers.iter().map(ways).collect()
}

/// TLS of the links that dial, by their suppliers' codes.
pub(super) fn dial_tls(settings: &Settings, ways: &[Vec<Way>]) -> Vec<(String, Arc<DialTls>)> {
    let of = |(supplier, ways): (&SupplierSettings, &Vec<Way>)| {
        let tls = ways.iter().filter_map(|way| match way {
            Way::Dial(_, tls) => Some((supplier.code.clone(), Arc::clone(tls.as_ref()?))),
            Way::Berth(_) => None,
        });
        tls.collect::<Vec<_>>()
    };
    settings.suppliers.iter().zip(ways).flat_map(of).collect()
}

/// Where suppliers dial in, by their codes.
pub(super) fn berths(settings: &Settings, ways: &[Vec<Way>]) -> Vec<(String, SocketAddr)> {
    let of = |(supplier, ways): (&SupplierSettings, &Vec<Way>)| {
        let addresses = ways.iter().filter_map(|way| match way {
            Way::Berth(berth) => Some((supplier.code.clone(), berth.address())),
            Way::Dial(..) => None,
        });
        addresses.collect::<Vec<_>>()
    };
    settings.suppliers.iter().zip(ways).flat_map(of).collect()
}

pub(super) fn links(supplier: &SupplierSettings, ways: Vec<Way>, door: &DoorHandle) -> Vec<Link> {
    let link = |(at, way): (u64, Way)| {
        let seed = u64::from(std::process::id()) << 16 | (at + 1);
        Link::new(supplier, way, door.clone(), seed)
    };
    (0u64..).zip(ways).map(link).collect()
}
