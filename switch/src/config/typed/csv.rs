//! Files of merchants and terminals: comma-separated, one a line, header first.
//!
//! Owns: the reading of lines and columns, and what a merchant and a terminal need.
//! Invariants: every wrong field has its line and column. Empty lines and lines that begin with `#`
//! are comments. A field may stand in double quotes; it holds no comma either way.

use super::super::faults::Faults;
use super::super::forms;
use super::super::sources::At;
use super::super::table::Word;
use super::Names;
use rustc_hash::FxHashMap;
use switchyard_core::catalogue::{Funding, Merchant, Network, Terminal};
use switchyard_core::schema::Form;
use switchyard_core::text::Text;

/// Most wrong lines of one file that are reported: a file of the wrong kind is wrong in every line.
const WRONG_LINES_MAX: usize = 50;

/// Merchants by code: index and place.
pub(in super::super) type MerchantNames = FxHashMap<Text<15>, (u32, At)>;

/// The merchants of the files `files`.
pub(in super::super) fn merchants(
    files: &[usize],
    networks: &Names<'_>,
    faults: &mut Faults<'_>,
) -> (Vec<Merchant>, MerchantNames) {
    let mut merchants = Vec::new();
    let mut names = MerchantNames::default();
    each_line(files, ["code", "network"], faults, |[code, network], faults| {
        let at = code.at;
        let code = read::<15>(code, "code", &forms::MERCHANT, faults)?;
        // A merchant whose network is wrong is there all the same: its terminals need not be reported too.
        let network = networks.find(network, faults);
        once(&mut names, code, merchants.len(), at, "merchant", faults)?;
        merchants.push(Merchant { code, network: network.unwrap_or_default(), funding: None });
        network.map(|_| ())
    });
    (merchants, names)
}

/// Gives merchants the positions of the files `files`. Amounts are in the currency of the merchant's network.
pub(in super::super) fn positions(
    files: &[usize],
    names: &MerchantNames,
    networks: &[Network],
    merchants: &mut [Merchant],
    faults: &mut Faults<'_>,
) {
    each_line(files, ["merchant", "funding", "amount"], faults, |[merchant, funding, amount], faults| {
        let at = merchant.at;
        let index = merchant_of(merchant, names, faults)?;
        let found = merchants.get_mut(index as usize)?;
        if found.funding.is_some() {
            faults.error(
                at,
                format!("merchant `{}` has a position already", found.code),
                "one line a merchant",
            );
            return None;
        }
        let network = networks.get(found.network as usize)?;
        let exponent = forms::exponent(network.currency)?;
        let Some(minor) = forms::amount(amount.text, exponent) else {
            let wrong = format!("`{}` is not an amount", amount.text);
            faults.error(amount.at, wrong, format!("such as \"100.00\", at most {exponent} decimal places"));
            return None;
        };
        found.funding = Some(match funding.text {
            "prefunded" => Funding::Prefunded { opening: minor },
            "credit" => Funding::Credit { line: minor },
            _ => {
                faults.error(funding.at, "`funding` does not know this word", "known: prefunded, credit");
                return None;
            }
        });
        Some(())
    });
}

/// The terminals of the files `files`.
pub(in super::super) fn terminals(
    files: &[usize],
    merchants: &MerchantNames,
    faults: &mut Faults<'_>,
) -> Vec<Terminal> {
    let mut terminals = Vec::new();
    let mut names = FxHashMap::default();
    each_line(files, ["code", "merchant", "status"], faults, |[code, merchant, status], faults| {
        let at = code.at;
        let code = read::<8>(code, "code", &forms::TERMINAL, faults)?;
        let merchant = merchant_of(merchant, merchants, faults)?;
        let blocked = is_blocked(status, faults)?;
        once(&mut names, code, terminals.len(), at, "terminal", faults)?;
        terminals.push(Terminal { code, merchant, blocked });
        Some(())
    });
    terminals
}

fn merchant_of(word: Word<'_>, merchants: &MerchantNames, faults: &mut Faults<'_>) -> Option<u32> {
    let code = read::<15>(word, "merchant", &forms::MERCHANT, faults)?;
    let found = merchants.get(&code);
    if found.is_none() {
        let wrong = format!("there is no merchant `{}`", word.text);
        faults.error(word.at, wrong, "merchants stand in the files that `merchants` names");
    }
    found.map(|(index, _)| *index)
}

fn is_blocked(word: Word<'_>, faults: &mut Faults<'_>) -> Option<bool> {
    match word.text {
        "active" => Some(false),
        "blocked" => Some(true),
        _ => {
            faults.error(word.at, "`status` does not know this word", "known: active, blocked");
            None
        }
    }
}

fn read<const N: usize>(word: Word<'_>, key: &str, form: &Form, faults: &mut Faults<'_>) -> Option<Text<N>> {
    let code = forms::code::<N>(word.text);
    if code.is_none() {
        faults.error(word.at, format!("`{key}` is not {}", form.name), format!("allowed: {}", form.range));
    }
    code
}

/// Remembers `code` as number `index`; an error where it is there already.
fn once<const N: usize>(
    names: &mut FxHashMap<Text<N>, (u32, At)>,
    code: Text<N>,
    index: usize,
    at: At,
    what: &str,
    faults: &mut Faults<'_>,
) -> Option<()> {
    let index = u32::try_from(index).ok()?;
    if let Some((_, first)) = names.get(&code) {
        let first = faults.line(*first);
        faults.error(at, format!("{what} `{code}` is there twice"), format!("the first is at {first}"));
        return None;
    }
    names.insert(code, (index, at));
    Some(())
}

/// Hands every line of `files` with its `N` fields to `take`, which answers `None` where it is wrong.
fn each_line<const N: usize>(
    files: &[usize],
    header: [&str; N],
    faults: &mut Faults<'_>,
    mut take: impl FnMut([Word<'_>; N], &mut Faults<'_>) -> Option<()>,
) {
    let sources = faults.sources;
    for file in files.iter().copied() {
        let text = sources.files.get(file).map_or("", |source| source.text.as_str());
        let mut lines = lines(text).map(|(start, line)| (At { file, start, end: start + line.len() }, line));
        if !header_is(lines.next(), file, header, faults) {
            continue;
        }
        let mut wrong = 0;
        for (at, line) in lines {
            let taken = fields(at, line, header, faults).and_then(|fields| take(fields, faults));
            wrong += usize::from(taken.is_none());
            if wrong >= WRONG_LINES_MAX {
                faults.error(at, format!("{wrong} lines of this file are wrong; the rest was not read"), "");
                break;
            }
        }
    }
}

fn header_is<const N: usize>(
    first: Option<(At, &str)>,
    file: usize,
    header: [&str; N],
    faults: &mut Faults<'_>,
) -> bool {
    let wanted = header.join(",");
    let (at, line) = first.unwrap_or((At { file, start: 0, end: 0 }, ""));
    let is_header = line == wanted;
    if !is_header {
        faults.error(at, "the header is missing", format!("the first line must be: {wanted}"));
    }
    is_header
}

/// The lines that say something, each with the byte it begins at.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let begin = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut next = begin;
    text.get(begin..)
        .unwrap_or("")
        .split('\n')
        .map(move |line| {
            let start = next;
            next += line.len() + 1;
            (start, line.strip_suffix('\r').unwrap_or(line))
        })
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
}

fn fields<'l, const N: usize>(
    at: At,
    line: &'l str,
    header: [&str; N],
    faults: &mut Faults<'_>,
) -> Option<[Word<'l>; N]> {
    let mut fields = [Word { text: "", at }; N];
    let mut start = at.start;
    let mut count = 0;
    for text in line.split(',') {
        let place = At { file: at.file, start, end: start + text.len() };
        if let Some(field) = fields.get_mut(count) {
            *field = Word { text: unquoted(text.trim()), at: place };
        }
        start += text.len() + 1;
        count += 1;
    }
    if count != N {
        let wrong = format!("wrong number of fields: {count} instead of {N}");
        faults.error(at, wrong, format!("the fields are: {}", header.join(",")));
        return None;
    }
    Some(fields)
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}
