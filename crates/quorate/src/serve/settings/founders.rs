//! `--initial-cluster`: who founds the cluster, and whether this member says the same of itself.

use super::super::urls::{Same, Url};
use super::{Reader, texts};
use crate::flags::FlagError;

/// The founding members: those listed, or this one alone.
pub(super) fn initial_cluster(
    reader: &Reader<'_>,
    name: &str,
    advertise_peer: &[Url],
    notes: &mut Vec<String>,
) -> Result<Vec<(String, Vec<String>)>, FlagError> {
    if !reader.is_given("initial-cluster") {
        return Ok(vec![(name.to_owned(), texts(advertise_peer))]);
    }
    let members = members(&reader.text("initial-cluster"))
        .map_err(|why| reader.bad("initial-cluster", why))?;
    let Some((_, own)) = members.iter().find(|(member, _)| member == name) else {
        let listed: Vec<&str> = members.iter().map(|(member, _)| member.as_str()).collect();
        return Err(FlagError::Inconsistent(format!(
            "--name={name} is not in --initial-cluster, which lists {}: the name must be one of them",
            listed.join(", ")
        )));
    };
    advertised_as_listed(name, own, advertise_peer, notes)?;
    Ok(members
        .into_iter()
        .map(|(member, urls)| (member, texts(&urls)))
        .collect())
}

/// Reads `name=url,name=url,…`; a name may come several times. Ordered by name.
fn members(list: &str) -> Result<Vec<(String, Vec<Url>)>, String> {
    let mut members: Vec<(String, Vec<Url>)> = Vec::new();
    let mut all: Vec<Url> = Vec::new();
    for part in list
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (name, url) = part
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("`{part}` is not of the form name=http://host:port"))?;
        let url = Url::parse(url)?;
        url.check_advertised()?;
        if all.iter().any(|other| other.compare(&url) == Same::Yes) {
            return Err(format!(
                "`{}` is listed twice: each URL belongs to one member",
                url.text
            ));
        }
        all.push(url.clone());
        match members.iter_mut().find(|(member, _)| member == name) {
            Some((_, urls)) => urls.push(url),
            None => members.push((name.to_owned(), vec![url])),
        }
    }
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(members)
}

/// That a member advertises to its peers the URLs under which the cluster lists it.
fn advertised_as_listed(
    name: &str,
    listed: &[Url],
    advertised: &[Url],
    notes: &mut Vec<String>,
) -> Result<(), FlagError> {
    let best = |url: &Url, among: &[Url]| {
        let matches = |wanted| among.iter().any(|other| url.compare(other) == wanted);
        if matches(Same::Yes) {
            Same::Yes
        } else if matches(Same::PerhapsByName) {
            Same::PerhapsByName
        } else {
            Same::No
        }
    };
    let pairs = listed.iter().map(|url| (url, best(url, advertised)));
    let pairs = pairs.chain(advertised.iter().map(|url| (url, best(url, listed))));
    for (url, same) in pairs {
        match same {
            Same::Yes => {}
            Same::PerhapsByName => notes.push(format!(
                "{} of member {name} is taken to be the same in --initial-cluster and in \
                 --initial-advertise-peer-urls, by its port: host names are not looked up",
                url.text
            )),
            Same::No => {
                return Err(FlagError::Inconsistent(format!(
                    "--initial-cluster lists {name} at {}, but --initial-advertise-peer-urls says {}: they must be the same",
                    texts(listed).join(","),
                    texts(advertised).join(",")
                )));
            }
        }
    }
    Ok(())
}
