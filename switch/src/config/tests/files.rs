//! Faults that one file shows by itself.

use super::check;

#[test]
fn a_right_one_has_nothing_to_say() {
    check(&[], "");
}

#[test]
fn a_misspelt_key_is_refused_and_named() {
    check(
        &[("listen = \"127", "lisen = \"127")],
        r#"main.toml:5:1: error: the conduit has neither `listen` nor `dial`
   5 | [[conduit]]
     | ^^^^^^^^^^^
     = add: listen = "127.0.0.1:8583", or dial = "HOST:PORT" where the switch calls the network's host
main.toml:7:1: error: `lisen` is not a key of [conduit]
   7 | lisen = "127.0.0.1:8583"
     | ^^^^^
     = did you mean `listen`?
"#,
    );
}

#[test]
fn an_unknown_key_is_refused_with_those_that_are_known() {
    check(
        &[("code = \"TOPUP\"", "code = \"TOPUP\"\nwindw = 3")],
        r#"more.toml:3:1: error: `windw` is not a key of [product]
   3 | windw = 3
     | ^^^^^
     = known: code, name, service, currency, amount, amount_min, amount_max, account, networks, policy, prefix_table, candidate
"#,
    );
}

#[test]
fn numbers_stay_in_their_range() {
    check(
        &[(
            "name = \"plain\"\n",
            "name = \"plain\"\nwindow_requests = 7\ndeadline_ms = \"5s\"\nframe_bytes_max = 99999999999999999999\n",
        )],
        r#"main.toml:7:19: error: `window_requests` is out of its range
   7 | window_requests = 7
     |                   ^
     = allowed: 8 to 16_384
main.toml:8:15: error: `deadline_ms` is a string, and must be an integer
   8 | deadline_ms = "5s"
     |               ^^^^
     = allowed: 100 to 120_000
main.toml:9:19: error: `frame_bytes_max` is out of its range
   9 | frame_bytes_max = 99999999999999999999
     |                   ^^^^^^^^^^^^^^^^^^^^
     = allowed: 64 to 65_535
"#,
    );
}

#[test]
fn a_key_of_another_table_is_sent_there() {
    check(
        &[("[supplier]", "timeout_ms = 5_000\n[supplier]")],
        r#"more.toml:20:1: error: `timeout_ms` is not a key of [prefix_table]
  20 | timeout_ms = 5_000
     | ^^^^^^^^^^
     = it is a key of [[supplier]]
"#,
    );
}

#[test]
fn wrong_merchants_have_lines_and_columns_and_their_terminals_are_not_reported() {
    check(
        &[
            (
                "SHOP1,100001\n",
                "SHOP1,100001\nSHOP2,100009\nSHOP1,100001\nSHOP3\nTOOLONGMERCHANTCODE,100001\n",
            ),
            ("T0000001,SHOP1,active\n", "T0000001,SHOP1,active\nT0000002,SHOP2,active\n"),
        ],
        r#"merchants.csv:3:7: error: there is no network `100009`
   3 | SHOP2,100009
     |       ^^^^^^
     = did you mean `100001`?
merchants.csv:4:1: error: merchant `SHOP1` is there twice
   4 | SHOP1,100001
     | ^^^^^
     = the first is at merchants.csv:2
merchants.csv:5:1: error: wrong number of fields: 1 instead of 2
   5 | SHOP3
     | ^^^^^
     = the fields are: code,network
merchants.csv:6:1: error: `code` is not a merchant's code
   6 | TOOLONGMERCHANTCODE,100001
     | ^^^^^^^^^^^^^^^^^^^
     = allowed: 1 to 15 printable ASCII characters
"#,
    );
}

#[test]
fn wrong_positions_have_lines_and_columns() {
    check(
        &[
            (
                "terminals = [\"terminals.csv\"]\n",
                "terminals = [\"terminals.csv\"]\npositions = [\"positions.csv\"]\n",
            ),
            (
                "SHOP1,prefunded,12.50\n",
                "SHOP1,prefnded,12.50\nSHOP1,credit,1.234\nSHOPX,credit,1.00\nSHOP1,credit,1.00\nSHOP1,credit,1.00\n",
            ),
        ],
        r#"positions.csv:2:7: error: `funding` does not know this word
   2 | SHOP1,prefnded,12.50
     |       ^^^^^^^^
     = known: prefunded, credit
positions.csv:3:14: error: `1.234` is not an amount
   3 | SHOP1,credit,1.234
     |              ^^^^^
     = such as "100.00", at most 2 decimal places
positions.csv:4:1: error: there is no merchant `SHOPX`
   4 | SHOPX,credit,1.00
     | ^^^^^
     = merchants stand in the files that `merchants` names
positions.csv:6:1: error: merchant `SHOP1` has a position already
   6 | SHOP1,credit,1.00
     | ^^^^^
     = one line a merchant
"#,
    );
}

#[test]
fn wrong_terminals_have_lines_and_columns() {
    check(
        &[(
            "T0000001,SHOP1,active\n",
            "T0000001,SHOP1,actve\nT2,SHOPX,active\nT3,SHOP1,active\nT3,SHOP1,blocked\n",
        )],
        r#"terminals.csv:2:16: error: `status` does not know this word
   2 | T0000001,SHOP1,actve
     |                ^^^^^
     = known: active, blocked
terminals.csv:3:4: error: there is no merchant `SHOPX`
   3 | T2,SHOPX,active
     |    ^^^^^
     = merchants stand in the files that `merchants` names
terminals.csv:5:1: error: terminal `T3` is there twice
   5 | T3,SHOP1,blocked
     | ^^
     = the first is at terminals.csv:4
"#,
    );
}

#[test]
fn a_list_without_its_header() {
    check(
        &[("code,merchant,status\n", "T0000001,SHOP1,active\n")],
        r#"terminals.csv:1:1: error: the header is missing
   1 | T0000001,SHOP1,active
     | ^^^^^^^^^^^^^^^^^^^^^
     = the first line must be: code,merchant,status
"#,
    );
}

#[test]
fn a_secret_is_never_shown() {
    check(
        &[(
            "dialect = \"prepaid87-bcd\"",
            "dialect = \"prepaid87-bcd\"\npassword = \"abcdefghijk\"\npause = 5",
        )],
        r#"more.toml:27:12: error: `password` has 11 characters, or some that do not print
  27 | password = ***
     |            ^^^^^^^^^^^^^
     = allowed: 1 to 8 printable characters
more.toml:28:1: error: `pause` is not a key of [supplier.settings]
  28 | pause = 5
     | ^^^^^
     = did you mean `pause_ms`?
"#,
    );
}

#[test]
fn a_secret_in_broken_toml_is_never_shown() {
    check(
        &[("dialect = \"prepaid87-bcd\"", "dialect = \"prepaid87-bcd\"\npassword = \"abc")],
        r#"more.toml:27:16: error: invalid basic string, expected `"`
  27 | password = ***
     |               ^
"#,
    );
}

#[test]
fn amounts_times_and_zones_have_their_forms() {
    check(
        &[("opening = \"10.00\"", "opening = \"10.000\"\nzone = \"Mars/Olympus\"\ncut_over = \"24:00\"")],
        r#"main.toml:15:11: error: `opening` has more decimal places than its currency
  15 | opening = "10.000"
     |           ^^^^^^^^
     = at most 2 decimal places
main.toml:16:8: error: `zone` is not a time zone
  16 | zone = "Mars/Olympus"
     |        ^^^^^^^^^^^^^^
     = allowed: a name of the IANA time zone database
main.toml:17:12: error: `cut_over` is not a time of day
  17 | cut_over = "24:00"
     |            ^^^^^^^
     = allowed: "00:00" to "23:59"
"#,
    );
}

#[test]
fn a_currency_is_one_of_iso_4217() {
    check(
        &[("currency = 978", "currency = 1")],
        r#"main.toml:13:12: error: there is no currency with this number
  13 | currency = 1
     |            ^
     = a numeric code of ISO 4217, such as 978 (EUR) or 840 (USD)
more.toml:5:12: error: there is no currency with this number
   5 | currency = 1
     |            ^
     = a numeric code of ISO 4217, such as 978 (EUR) or 840 (USD)
"#,
    );
}

#[test]
fn included_files_are_there() {
    check(
        &[("include = [\"more.toml\"]", "include = [\"more.toml\", \"none/*.toml\", \"gone.toml\"]")],
        r#"main.toml:1:25: error: the file cannot be read: no file fits this pattern
   1 | include = ["more.toml", "none/*.toml", "gone.toml"]
     |                         ^^^^^^^^^^^^^
     = paths are relative to the file that names them
main.toml:1:40: error: the file cannot be read: entity not found
   1 | include = ["more.toml", "none/*.toml", "gone.toml"]
     |                                        ^^^^^^^^^^^
     = paths are relative to the file that names them
"#,
    );
}

#[test]
fn broken_toml_has_a_place() {
    check(
        &[("[[conduit]]\n", "[[conduit]\n")],
        r#"main.toml:5:11: error: unclosed array table, expected `]`
   5 | [[conduit]
     |           ^
"#,
    );
}

#[test]
fn only_the_main_file_includes() {
    check(
        &[("[[product]]", "include = []\n[[product]]")],
        r#"more.toml:1:11: error: only the main file may include others
   1 | include = []
     |           ^^
     = move it there
"#,
    );
}

#[test]
fn kinds_of_values_are_kept_apart() {
    check(
        &[("include = [\"more.toml\"]", "include = 3\nconduits = 4")],
        r#"main.toml:1:11: error: `include` is an integer, and must be an array
   1 | include = 3
     |           ^
     = allowed: list, each: a path
main.toml:2:1: error: `conduits` is not a key of the top of the file
   2 | conduits = 4
     | ^^^^^^^^
     = did you mean `conduit`?
"#,
    );
}

#[test]
fn segments_are_whole_pages() {
    check(
        &[("[supplier]", "[journal]\nsegment_bytes = 5_000_000\n[supplier]")],
        r#"more.toml:21:17: error: `segment_bytes` is not a multiple of 4_096
  21 | segment_bytes = 5_000_000
     |                 ^^^^^^^^^
     = the next one is 5_001_216
"#,
    );
}
