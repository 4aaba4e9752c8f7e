//! Every mistake is reported at its place, in one block, with a remedy.

use feedd_config::{Machine, Overrides, load};
use proptest::prelude::*;

/// Loads a file of this text, on a machine with cores 0 and 1, and gives what an operator reads.
fn report(toml: &str, env: &[(&str, &str)], flags: &Overrides) -> String {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("feedd.toml");
    std::fs::write(&file, toml).expect("room for a small file");
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let machine = Machine { cores: &[0, 1], venues: &["binance", "binance_usdm", "kraken"] };
    let text = match load(Some(&file), env, flags, &machine) {
        Ok(_) => "ok".to_owned(),
        Err(errors) => errors.to_string(),
    };
    text.replace(&format!("{}/", dir.path().display()), "")
}

fn of_file(toml: &str) -> String {
    report(toml, &[], &Overrides::default())
}

#[test]
fn one_mistake_in_the_file() {
    for (name, toml, expected) in FILE_CASES {
        // The source line and its carets are compared below, once for all.
        let report = of_file(toml);
        let message: Vec<&str> = report.lines().filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(message.join("\n"), *expected, "{name}");
    }
}

#[rustfmt::skip]
const FILE_CASES: &[(&str, &str, &str)] = &[
    ("empty file", "", "ok"),
    ("typo in a key", "[batch]\nmax_evnts = 250",
     "feedd.toml:2:1: batch.max_evnts: unknown key `max_evnts`, did you mean `max_events`?"),
    ("typo in a section", "[rign]\ncapacity = 100",
     "feedd.toml:1:2: rign: unknown section `rign`, did you mean `ring`?"),
    ("key of another section", "[ring]\nmax_events = 100",
     "feedd.toml:2:1: ring.max_events: unknown key `max_events` here; it belongs below [batch]"),
    ("key from nowhere", "[ring]\nfrobnicate = 1",
     "feedd.toml:2:1: ring.frobnicate: unknown key `frobnicate`; known here: capacity"),
    ("text for a number", "[ring]\ncapacity = \"many\"",
     "feedd.toml:2:12: ring.capacity: expected a number, found \"many\"; give a whole number from 64 to 16777216"),
    ("value for a section", "ring = 5",
     "feedd.toml:1:8: ring: expected a section [ring], found 5"),
    ("section for sources", "[source]\nkind = \"sim\"",
     "feedd.toml:1:1: source: expected sections [[source]], found a section"),
    ("list without sources", "source = []",
     "feedd.toml:1:10: source: empty; write at least one [[source]], or leave the key out for the default"),
    ("number for a flag", "[decode]\nkeep_unknown = 1",
     "feedd.toml:2:16: decode.keep_unknown: expected true or false, found 1"),
    ("ring of nothing", "[ring]\ncapacity = 0",
     "feedd.toml:2:12: ring.capacity: 0 is out of range; give a whole number from 64 to 16777216"),
    ("number beyond all types", "[ring]\ncapacity = -99999999999999999999",
     "feedd.toml:2:12: ring.capacity: -99999999999999999999 is out of range; give a whole number from 64 to 16777216"),
    ("duration without a unit", "[batch]\nmax_age = 5",
     "feedd.toml:2:11: batch.max_age: 5 is not a duration; write a number and a unit (ms, s, m, h, d), such as \"5s\""),
    ("duration of nothing", "[batch]\nmax_age = \"0s\"",
     "feedd.toml:2:11: batch.max_age: \"0s\" is out of range; give a duration from \"1ms\" to \"1h\""),
    ("unknown unit of a size", "[parquet]\nmemory_max = \"64MB\"",
     "feedd.toml:2:14: parquet.memory_max: \"64MB\" is not a size; write a number and a unit (B, KiB, MiB, GiB), such as \"64MiB\", or a number of bytes"),
    ("size out of range", "[parquet]\nmemory_max = 5",
     "feedd.toml:2:14: parquet.memory_max: 5 is out of range; give a size from \"1MiB\" to \"1TiB\""),
    ("percentage", "[validation]\nprice_jump = \"a lot\"",
     "feedd.toml:2:14: validation.price_jump: \"a lot\" is not a usable percentage; write a percentage above 0 with at most two decimals, such as \"10%\""),
    ("unknown profile, near", "profile = \"low-memroy\"",
     "feedd.toml:1:11: profile: unknown profile \"low-memroy\", did you mean \"low-memory\"?"),
    ("unknown profile, far", "profile = \"turbo\"",
     "feedd.toml:1:11: profile: unknown profile \"turbo\"; choose from \"default\", \"low-memory\", \"low-latency\", \"high-volume\""),
    ("unknown sink", "[sink]\nkind = \"parket\"",
     "feedd.toml:2:8: sink.kind: unknown sink \"parket\", did you mean \"parquet\"?"),
    ("value for a sink", "sink = 5",
     "feedd.toml:1:8: sink: expected a section [sink] or sections [[sink]], found 5"),
    ("list without sinks", "sink = []",
     "feedd.toml:1:8: sink: empty; write at least one [[sink]], or leave the key out for the default"),
    ("sink of a list without a kind", "[[sink]]\nname = \"a\"",
     "feedd.toml:1:1: sink.0.kind: missing; write kind = \"parquet\", kind = \"postgres\" or kind = \"null\""),
    ("typo in a sink", "[[sink]]\nkind = \"null\"\nrequird = false",
     "feedd.toml:3:1: sink.0.requird: unknown key `requird`, did you mean `required`?"),
    ("key of a sink elsewhere", "[ring]\nrequired = false",
     "feedd.toml:2:1: ring.required: unknown key `required` here; it belongs below [sink]"),
    ("key of one of several sinks elsewhere", "[ring]\nrequired = false\n[[sink]]\nkind = \"null\"",
     "feedd.toml:2:1: ring.required: unknown key `required` here; it belongs below [[sink]]"),
    ("unknown sink of a list", "[[sink]]\nkind = \"null\"\n[[sink]]\nkind = \"postgre\"",
     "feedd.toml:4:8: sink.1.kind: unknown sink \"postgre\", did you mean \"postgres\"?"),
    ("sink twice", "[[sink]]\nkind = \"postgres\"\n[[sink]]\nkind = \"postgres\"\nname = \"b\"",
     "feedd.toml:4:8: sink.1.kind: sink 0 and sink 1 are both \"postgres\"; one of each kind can be had: [postgres] belongs to it; remove one"),
    ("null sink twice", "[[sink]]\nkind = \"null\"\n[[sink]]\nkind = \"null\"",
     "feedd.toml:4:8: sink.1.kind: sink 0 and sink 1 are both \"null\"; one of each kind can be had; remove one"),
    ("name of a sink twice", "[[sink]]\nkind = \"null\"\n[[sink]]\nkind = \"parquet\"\nname = \"null\"",
     "feedd.toml:5:8: sink.1.name: sink 0 and sink 1 are both named \"null\"; rename one"),
    ("name of a sink that is no file's name", "[sink]\nname = \"a/b\"",
     "feedd.toml:2:8: sink.name: \"a/b\" is not a name of a sink; write 1 to 63 letters, digits, \"_\" and \"-\", such as \"archive-1\""),
    ("number for a sink's flag", "[sink]\nrequired = 1",
     "feedd.toml:2:12: sink.required: expected true or false, found 1"),
    ("unknown mode of the journal", "[journal]\nmode = \"of\"",
     "feedd.toml:2:8: journal.mode: unknown mode \"of\", did you mean \"on\"?"),
    ("unknown rule to sync", "[journal]\nsync = \"sometimes\"",
     "feedd.toml:2:8: journal.sync: \"sometimes\" does not say when to sync; give \"always\", \"os\", or a duration from \"1ms\" to \"10s\""),
    ("sync too late", "[journal]\nsync = \"11s\"",
     "feedd.toml:2:8: journal.sync: \"11s\" does not say when to sync; give \"always\", \"os\", or a duration from \"1ms\" to \"10s\""),
    ("number for sync", "[journal]\nsync = 10",
     "feedd.toml:2:8: journal.sync: 10 does not say when to sync; give \"always\", \"os\", or a duration from \"1ms\" to \"10s\""),
    ("journal too large", "[journal]\nbytes_max = \"65TiB\"",
     "feedd.toml:2:13: journal.bytes_max: \"65TiB\" is out of range; give a size from \"64KiB\" to \"64TiB\""),
    ("segment too small", "[journal]\nsegment_bytes = \"15KiB\"",
     "feedd.toml:2:17: journal.segment_bytes: \"15KiB\" is out of range; give a size from \"16KiB\" to \"1GiB\""),
    ("journal of three segments", "[journal]\nbytes_max = \"255MiB\"",
     "feedd.toml:2:13: journal.bytes_max: bytes_max = \"255MiB\" must hold at least 4 segments of segment_bytes = \"64MiB\"; give it \"256MiB\" or more, or make the segments smaller"),
    ("segments as large as the journal allows", "[journal]\nsegment_bytes = \"1GiB\"", "ok"),
    ("journal in the data folder", "[data]\ndir = \".\"\n[journal]\ndir = \".\"",
     "feedd.toml:4:7: journal.dir: . is data.dir, too; give the journal a folder of its own"),
    ("journal in the folder of the datasets", "[parquet]\ndir = \"./feedd-data/journal\"",
     "feedd.toml:2:7: parquet.dir: ./feedd-data/journal is parquet.dir, too; give the journal a folder of its own"),
    ("journal below a file", "[journal]\ndir = \"src/lib.rs/journal\"",
     "feedd.toml:2:7: journal.dir: cannot write to src/lib.rs/journal: src/lib.rs is not a folder; choose a folder that this user can write to"),
    ("journal below a file, unused", "[sink]\nkind = \"null\"\n[journal]\ndir = \"src/lib.rs/journal\"", "ok"),
    ("small quarantine", "[quarantine]\nbytes_max = 1",
     "feedd.toml:2:13: quarantine.bytes_max: 1 is out of range; give a size from \"64KiB\" to \"1TiB\""),
    ("long time of stability", "[retry]\nstable = \"2h\"",
     "feedd.toml:2:10: retry.stable: \"2h\" is out of range; give a duration from \"0s\" to \"1h\""),
    ("host with a port", "[postgres]\nhost = \"db:5432\"",
     "feedd.toml:2:8: postgres.host: not a host; write its name or address alone, or the folder of its socket, such as \"/run/postgresql\"; port, database and user have keys of their own"),
    ("port of nothing", "[postgres]\nport = 0",
     "feedd.toml:2:8: postgres.port: 0 is out of range; give a whole number from 1 to 65535"),
    ("database without a name", "[postgres]\ndatabase = \" \"",
     "feedd.toml:2:12: postgres.database: empty; give a text"),
    ("user with a line break", "[postgres]\nuser = \"a\\nb\"",
     "feedd.toml:2:8: postgres.user: not a name; write 1 to 63 bytes of text"),
    ("schema that needs quotes", "[postgres]\nschema = \"1-a\"",
     "feedd.toml:2:10: postgres.schema: \"1-a\" is not a name of a schema; write a letter or \"_\", then at most 62 letters, digits and \"_\""),
    ("unknown layout", "[postgres]\nlayout = \"redable\"",
     "feedd.toml:2:10: postgres.layout: unknown layout \"redable\", did you mean \"readable\"?"),
    ("unknown encryption", "[postgres]\ntls = \"prefer\"",
     "feedd.toml:2:7: postgres.tls: unknown kind of encryption \"prefer\"; choose from \"auto\", \"verify-full\", \"disable\""),
    ("unencrypted over a network", "[postgres]\nhost = \"db.example\"\ntls = \"disable\"",
     "feedd.toml:3:7: postgres.tls: tls = \"disable\" would send everything to db.example unencrypted; choose \"auto\" or \"verify-full\", or say tls_insecure = true"),
    ("unencrypted over a network, meant", "[postgres]\nhost = \"db.example\"\ntls = \"disable\"\ntls_insecure = true", "ok"),
    ("unencrypted on this machine", "[postgres]\nhost = \"/run/postgresql\"\ntls = \"disable\"", "ok"),
    ("certificates that do not exist", "[sink]\nkind = \"postgres\"\n[postgres]\ntls_ca = \"no/ca.pem\"",
     "feedd.toml:4:10: postgres.tls_ca: cannot read no/ca.pem: No such file or directory (os error 2); name a file of certificates (PEM)"),
    ("no time to connect", "[postgres]\nconnect_timeout = \"0s\"",
     "feedd.toml:2:19: postgres.connect_timeout: \"0s\" is out of range; give a duration from \"100ms\" to \"1h\""),
    ("no time for a batch", "[postgres]\nbatch_timeout = \"2h\"",
     "feedd.toml:2:17: postgres.batch_timeout: \"2h\" is out of range; give a duration from \"100ms\" to \"1h\""),
    ("partitions of a year", "[postgres]\npartitions_ahead = 365",
     "feedd.toml:2:20: postgres.partitions_ahead: 365 is out of range; give a whole number from 0 to 30"),
    ("kept for a thousand years", "[postgres]\nretain_days = 365000",
     "feedd.toml:2:15: postgres.retain_days: 365000 is out of range; give a whole number from 0 to 36500"),
    ("word for a flag", "[postgres]\nmigrate = \"yes\"\ntls_insecure = \"no\"",
     "feedd.toml:2:11: postgres.migrate: expected true or false, found \"yes\"\nfeedd.toml:3:16: postgres.tls_insecure: expected true or false, found \"no\""),
    ("log target", "[log]\nlevel = [\"info\", \"feedd_core=loud\"]",
     "feedd.toml:2:18: log.level: unknown log level \"loud\"; choose from \"error\", \"warn\", \"info\", \"debug\", \"trace\""),
    ("levels the wrong way round", "[health]\nutilisation_warn = 40",
     "feedd.toml:2:20: health.utilisation_warn: utilisation_debug = 50 must be below utilisation_warn = 40"),
    ("waits the wrong way round", "[retry]\ndelay = \"1m\"",
     "feedd.toml:2:9: retry.delay: delay = \"1m\" must not be above max_delay = \"30s\""),
    ("source without a kind", "[[source]]\nname = \"a\"",
     "feedd.toml:1:1: source.0.kind: missing; write kind = \"venue\", kind = \"sim\" or kind = \"capture\""),
    ("capture without a path", "[[source]]\nkind = \"capture\"",
     "feedd.toml:1:1: source.0.path: missing; a capture needs path = \"FILE or FOLDER\""),
    ("key of the other kind", "[[source]]\nkind = \"sim\"\nspeed = 1",
     "feedd.toml:3:1: source.0.speed: `speed` is a key of kind \"capture\", this source is \"sim\""),
    ("key of two other kinds", "[[source]]\nkind = \"sim\"\nvenue = \"binance\"",
     "feedd.toml:3:1: source.0.venue: `venue` is a key of kind \"capture\" and \"venue\", this source is \"sim\""),
    ("key of a recording at a venue", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\npath = \"src\"\nseed = 1",
     "feedd.toml:5:1: source.0.path: `path` is a key of kind \"capture\", this source is \"venue\"\nfeedd.toml:6:1: source.0.seed: `seed` is a key of kind \"sim\", this source is \"venue\""),
    ("section of a venue at a recording", "[[source]]\nkind = \"capture\"\npath = \"src\"\nvenue = \"binance\"\n[source.limits]\nmessages = \"1/1s\"",
     "feedd.toml:5:9: source.0.limits: `limits` is a key of kind \"venue\", this source is \"capture\""),
    ("venue without anything", "[[source]]\nkind = \"venue\"",
     "feedd.toml:1:1: source.0.venue: missing; write venue = one of \"binance\", \"coinbase\", \"kraken\", \"okx\", \"bybit\"\nfeedd.toml:1:1: source.0.symbols: missing; name what to record, such as symbols = [\"BTCUSDT\"]"),
    ("unknown live venue", "[[source]]\nkind = \"venue\"\nvenue = \"binanse\"\nsymbols = \"BTCUSDT\"",
     "feedd.toml:3:9: source.0.venue: unknown venue \"binanse\", did you mean \"binance\"?"),
    ("market for a venue", "[[source]]\nkind = \"venue\"\nvenue = \"binance_usdm\"\nsymbols = \"BTCUSDT\"",
     "feedd.toml:3:9: source.0.venue: \"binance_usdm\" is a market; write venue = \"binance\" and market = \"usdm\""),
    ("market of another venue", "[[source]]\nkind = \"venue\"\nvenue = \"binance\"\nmarket = \"linear\"\nsymbols = \"BTCUSDT\"",
     "feedd.toml:4:10: source.0.market: unknown market \"linear\"; choose from \"spot\", \"usdm\", \"coinm\", \"us\""),
    ("symbol in lower case", "[[source]]\nkind = \"venue\"\nvenue = \"binance\"\nsymbols = [\"BTCUSDT\", \"ethusdt\"]",
     "feedd.toml:4:23: source.0.symbols: binance does not write \"ethusdt\"; write it as the venue does, such as \"BTCUSDT\""),
    ("symbol of another venue", "[[source]]\nkind = \"venue\"\nvenue = \"okx\"\nsymbols = \"BTCUSDT\"",
     "feedd.toml:4:11: source.0.symbols: okx does not write \"BTCUSDT\"; write it as the venue does, such as \"BTC-USDT\""),
    ("old name of bitcoin", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"XBT/USD\"",
     "feedd.toml:4:11: source.0.symbols: kraken does not write \"XBT/USD\"; its messages say \"BTC/USD\", write that"),
    ("alias of a symbol", "[[source]]\nkind = \"venue\"\nvenue = \"coinbase\"\nmarket = \"advanced\"\nsymbols = \"BTC-USDC\"",
     "feedd.toml:5:11: source.0.symbols: coinbase_advanced does not write \"BTC-USDC\"; its messages say \"BTC-USD\", write that"),
    ("symbol with a space", "[[source]]\nkind = \"venue\"\nvenue = \"binance\"\nsymbols = \"BTC USDT\"",
     "feedd.toml:4:11: source.0.symbols: \"BTC USDT\" is not a symbol; write at most 64 bytes without spaces"),
    ("live symbol twice", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = [\"BTC/USD\", \"BTC/USD\"]",
     "feedd.toml:4:23: source.0.symbols: \"BTC/USD\" is named twice; name each symbol once"),
    ("channel that a market lacks", "[[source]]\nkind = \"venue\"\nvenue = \"bybit\"\nsymbols = \"BTCUSDT\"\nchannels = [\"trades\", \"quotes\"]",
     "feedd.toml:5:23: source.0.channels: bybit_spot has no quotes; record \"depth\", with depth_levels = 1 for the best bid and ask alone"),
    ("redundancy of three", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\nredundancy = 3",
     "feedd.toml:5:14: source.0.redundancy: 3 is out of range; give a whole number from 1 to 2"),
    ("depth that a venue lacks", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\ndepth_levels = 20",
     "feedd.toml:5:16: source.0.depth_levels: kraken has no depth of 20 levels; choose from 10, 25, 100, 500, 1000"),
    ("depth where there is no choice", "[[source]]\nkind = \"venue\"\nvenue = \"coinbase\"\nsymbols = \"BTC-USD\"\ndepth_levels = 20",
     "feedd.toml:5:16: source.0.depth_levels: coinbase offers no choice of levels; leave depth_levels out"),
    ("unencrypted stream", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\nurl = \"ws://10.0.0.1:80\"",
     "feedd.toml:5:7: source.0.url: \"ws://10.0.0.1:80\" would be read over the network unencrypted, and anybody on the way could change it; write wss://, or say insecure = true"),
    ("unencrypted stream, meant", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\nurl = \"ws://10.0.0.1:80\"\nrest_url = \"http://10.0.0.1\"\ninsecure = true", "ok"),
    ("unencrypted stream of this machine", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\nurl = [\"ws://127.0.0.1:80\", \"wss://host\"]", "ok"),
    ("address with a path", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\nurl = \"wss://ws.kraken.com/v2\"",
     "feedd.toml:5:7: source.0.url: \"wss://ws.kraken.com/v2\" has more than a host and a port; the paths are the venue's: write wss://host or wss://host:port"),
    ("web address for a stream", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\nurl = \"https://ws.kraken.com\"",
     "feedd.toml:5:7: source.0.url: \"https://ws.kraken.com\" is not an address; write wss://host or wss://host:port"),
    ("address without a host", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\nrest_url = \"https://:443\"",
     "feedd.toml:5:12: source.0.rest_url: \"https://:443\" names no host; write https://host or https://host:port"),
    ("venue's certificates that do not exist", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\nca_file = \"no/ca.pem\"",
     "feedd.toml:5:11: source.0.ca_file: cannot read no/ca.pem: No such file or directory (os error 2); name a file of certificates (PEM)"),
    ("allowance without a period", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\n[source.limits]\nmessages = 5",
     "feedd.toml:6:12: source.0.limits.messages: 5 is not an allowance; write how many in what time, such as \"300/5m\": 1 to 1000000 in \"1ms\" to \"1d\""),
    ("typo in a limit", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\n[source.limits]\nmesages = \"5/1s\"",
     "feedd.toml:6:1: source.0.limits.mesages: unknown key `mesages`, did you mean `messages`?"),
    ("no time to acknowledge", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\n[source.periods]\nacknowledge = \"0s\"",
     "feedd.toml:6:15: source.0.periods.acknowledge: \"0s\" is out of range; give a duration from \"10ms\" to \"30d\""),
    ("lifetime by another word", "[[source]]\nkind = \"venue\"\nvenue = \"kraken\"\nsymbols = \"BTC/USD\"\n[source.periods]\nlifetime = \"none\"",
     "feedd.toml:6:12: source.0.periods.lifetime: \"none\" is not a duration; write a number and a unit (ms, s, m, h, d), such as \"5s\"; or \"never\""),
    ("tape of nothing", "[tape]\nbytes_max = 0",
     "feedd.toml:2:13: tape.bytes_max: 0 is out of range; give a size from \"1MiB\" to \"1024TiB\""),
    ("tape below a file", "[tape]\nenabled = true\ndir = \"src/lib.rs/tape\"",
     "feedd.toml:3:7: tape.dir: cannot write to src/lib.rs/tape: src/lib.rs is not a folder; choose a folder that this user can write to"),
    ("tape below a file, unused", "[tape]\ndir = \"src/lib.rs/tape\"", "ok"),
    ("symbol", "[[source]]\nkind = \"sim\"\nsymbols = [\"BTCUSDT\", \"eth/usdt\"]",
     "feedd.toml:3:23: source.0.symbols: \"eth/usdt\" is not a symbol; write 3 to 20 capital letters and digits, such as \"BTCUSDT\""),
    ("symbol twice", "[[source]]\nkind = \"sim\"\nsymbols = [\"BTCUSDT\", \"BTCUSDT\"]",
     "feedd.toml:3:23: source.0.symbols: \"BTCUSDT\" is named twice; name each symbol once"),
    ("no symbol", "[[source]]\nkind = \"sim\"\nsymbols = []",
     "feedd.toml:3:11: source.0.symbols: empty; name at least one symbol"),
    ("rate of nothing", "[[source]]\nkind = \"sim\"\nrate = 0",
     "feedd.toml:3:8: source.0.rate: 0 is not a rate; give \"max\" or a whole number of frames per second from 1 to 1000000000"),
    ("time without an offset", "[[source]]\nkind = \"sim\"\nstart_time = 2026-01-31T12:00:00",
     "feedd.toml:3:14: source.0.start_time: 2026-01-31T12:00:00 is not a point in time; write it with its offset, such as 2026-01-31T12:00:00Z"),
    ("one name twice", "[[source]]\nkind = \"sim\"\nname = \"a\"\n[[source]]\nkind = \"sim\"\nname = \"a\"",
     "feedd.toml:6:8: source.1.name: source 0 and source 1 are both named \"a\"; rename one"),
    ("typo in a source's validation", "[[source]]\nkind = \"sim\"\n[source.validation]\nprice_jmp = 5",
     "feedd.toml:4:1: source.0.validation.price_jmp: unknown key `price_jmp`, did you mean `price_jump`?"),
    ("core that does not exist", "[batching]\ncore = 99",
     "feedd.toml:2:8: batching.core: no core 99 for this process; there are 0, 1; choose one, \"auto\" or \"none\""),
    ("core twice", "[batching]\ncore = 1\n[[source]]\nkind = \"sim\"\ncore = 1",
     "feedd.toml:5:8: source.0.core: core 1 is given to batching.core, too; choose another, \"auto\" or \"none\""),
    ("core by another word", "[batching]\ncore = \"first\"",
     "feedd.toml:2:8: batching.core: \"first\" is not a core; choose \"auto\", \"none\" or a core's number"),
    ("recording that does not exist", "[[source]]\nkind = \"capture\"\npath = \"no/such.jsonl\"",
     "feedd.toml:3:8: source.0.path: cannot read no/such.jsonl: No such file or directory (os error 2); name a recording or a folder of them"),
    ("unknown venue", "[[source]]\nkind = \"capture\"\npath = \"src\"\nvenue = \"binanse\"",
     "feedd.toml:4:9: source.0.venue: unknown venue \"binanse\", did you mean \"binance\"?"),
    ("file in a folder that is no venue", "[[source]]\nkind = \"capture\"\npath = \"src/lib.rs\"",
     "feedd.toml:3:8: source.0.path: src/lib.rs lies in folder \"src\", which is no venue; set venue"),
    ("folder below a file", "[data]\ndir = \"src/lib.rs/data\"",
     "feedd.toml:2:7: data.dir: cannot write to src/lib.rs/data: src/lib.rs is not a folder; choose a folder that this user can write to"),
];

#[test]
fn all_mistakes_are_reported_in_the_order_of_the_file() {
    let toml = "profile = \"low-memroy\"\n[batch]\n\tmax_evnts = 250 # more\nmax_age = 5\n[rign]\ncapacity = 1\n";
    let expected = "\
feedd.toml:1:11: profile: unknown profile \"low-memroy\", did you mean \"low-memory\"?
 1 | profile = \"low-memroy\"
   |           ^^^^^^^^^^^^
feedd.toml:3:2: batch.max_evnts: unknown key `max_evnts`, did you mean `max_events`?
 3 | \tmax_evnts = 250 # more
   | \t^^^^^^^^^
feedd.toml:4:11: batch.max_age: 5 is not a duration; write a number and a unit (ms, s, m, h, d), such as \"5s\"
 4 | max_age = 5
   |           ^
feedd.toml:5:2: rign: unknown section `rign`, did you mean `ring`?
 5 | [rign]
   |  ^^^^";
    assert_eq!(of_file(toml), expected);
}

#[test]
fn all_mistakes_of_toml_itself_are_reported() {
    let expected = "\
feedd.toml:2:11: not TOML: string values must be quoted, expected literal string
 2 | max_age = 5s
   |           ^^
feedd.toml:3:1: not TOML: duplicate key
 3 | max_age = \"5s\"
   | ^^^^^^^";
    assert_eq!(of_file("[batch]\nmax_age = 5s\nmax_age = \"5s\"\n"), expected);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let machine = Machine { cores: &[0], venues: &[] };
    let missing = std::path::Path::new("no/such.toml");
    let errors = load(Some(missing), std::iter::empty(), &Overrides::default(), &machine).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "no/such.toml: cannot be read (No such file or directory (os error 2)); name an existing text file, or none for the defaults"
    );
}

/// Opening it would wait for a writer, and break one that is there.
#[test]
fn a_named_pipe_is_a_capture_that_the_check_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("binance");
    std::fs::create_dir(&path).unwrap();
    let path = path.join("feed");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let toml = format!("[[source]]\nkind = \"capture\"\npath = \"{}\"", path.display());
    for (speed, expected) in [
        ("\"max\"", "ok".to_owned()),
        (
            "2.5",
            format!(
                "feedd.toml:4:9: source.0.speed: {} is a named pipe, which is taken as its writer sends it; leave speed out, or \"max\"",
                path.display()
            ),
        ),
    ] {
        let report = of_file(&format!("{toml}\nspeed = {speed}"));
        assert_eq!(report.lines().next(), Some(expected.as_str()), "speed = {speed}");
    }
    let (sender, report) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || sender.send(of_file(&toml)));
    let report = report.recv_timeout(std::time::Duration::from_secs(30)).expect("the check waits for no writer");
    assert_eq!(report, "ok");
}

#[test]
fn mistakes_in_variables() {
    for (name, value, expected) in VARIABLE_CASES {
        assert_eq!(report("", &[(name, value)], &Overrides::default()), *expected, "{name}");
    }
}

#[rustfmt::skip]
const VARIABLE_CASES: &[(&str, &str, &str)] = &[
    ("FEEDD_SHARED", "../shared", "ok"),
    ("FEEDD_BIN", "feedd", "ok"),
    ("FEEDD_CONFIG", "feedd.toml", "ok"),
    ("PATH", "/bin", "ok"),
    ("FEEDD_BATCH__MAX_EVNTS", "250",
     "environment variable FEEDD_BATCH__MAX_EVNTS: batch.max_evnts: unknown variable, did you mean FEEDD_BATCH__MAX_EVENTS?"),
    ("FEEDD_BATHC__MAX_EVENTS", "250",
     "environment variable FEEDD_BATHC__MAX_EVENTS: bathc.max_events: unknown variable, did you mean FEEDD_BATCH__MAX_EVENTS?"),
    ("FEEDD_BATCH_MAX_EVENTS", "250",
     "environment variable FEEDD_BATCH_MAX_EVENTS: batch_max_events: unknown variable, did you mean FEEDD_BATCH__MAX_EVENTS?"),
    ("FEEDD_WHATEVER_THIS_IS_FOR", "1",
     "environment variable FEEDD_WHATEVER_THIS_IS_FOR: whatever_this_is_for: unknown variable; write FEEDD_<SECTION>__<KEY>, such as FEEDD_BATCH__MAX_EVENTS"),
    ("FEEDD_BATCH", "250",
     "environment variable FEEDD_BATCH: batch: expected a section [batch], found \"250\""),
    ("FEEDD_BATCH__MAX_EVENTS", "many",
     "environment variable FEEDD_BATCH__MAX_EVENTS: batch.max_events: expected a number, found \"many\"; give a whole number from 1 to 1000000"),
    ("FEEDD_SOURCE__2__RATE", "max",
     "environment variable FEEDD_SOURCE__2__RATE: source.2.rate: no source \"2\"; there are 1, counted from 0, and 1 adds one"),
    ("FEEDD_SINK", "null",
     "environment variable FEEDD_SINK: sink: expected a section [sink] or sections [[sink]], found \"null\""),
    ("FEEDD_SINK__0", "null",
     "environment variable FEEDD_SINK__0: sink.0: name a key of it, such as sink.0.name"),
    ("FEEDD_SINK__0__KIND", "nul",
     "environment variable FEEDD_SINK__0__KIND: sink.0.kind: unknown sink \"nul\", did you mean \"null\"?"),
    ("FEEDD_SINK__1__KIND", "parquet",
     "environment variable FEEDD_SINK__1__KIND: sink.1.kind: sink 0 and sink 1 are both \"parquet\"; one of each kind can be had: [parquet] belongs to it; remove one"),
    ("FEEDD_SINK__2__KIND", "null",
     "environment variable FEEDD_SINK__2__KIND: sink.2.kind: no sink \"2\"; there are 1, counted from 0, and 1 adds one"),
    ("FEEDD_SINK__1__NAME", "b",
     "environment variable FEEDD_SINK__1__NAME: sink.1.kind: missing; write kind = \"parquet\", kind = \"postgres\" or kind = \"null\""),
    ("FEEDD_JOURNAL__SINC", "os",
     "environment variable FEEDD_JOURNAL__SINC: journal.sinc: unknown variable, did you mean FEEDD_JOURNAL__SYNC?"),
    ("FEEDD_SOURCE__0", "sim",
     "environment variable FEEDD_SOURCE__0: source.0: name a key of it, such as source.0.name"),
    ("FEEDD_SOURCE__1__RATE", "max",
     "environment variable FEEDD_SOURCE__1__RATE: source.1.kind: missing; write kind = \"venue\", kind = \"sim\" or kind = \"capture\""),
    ("FEEDD_SOURCE__0__CHANNELS", "trades,quots",
     "environment variable FEEDD_SOURCE__0__CHANNELS: source.0.channels: unknown channel \"quots\", did you mean \"quotes\"?"),
    ("FEEDD_", "1",
     "environment variable FEEDD_: unknown variable; write FEEDD_<SECTION>__<KEY>, such as FEEDD_BATCH__MAX_EVENTS"),
];

#[test]
fn mistakes_in_flags() {
    for (set, expected) in SET_CASES {
        let flags = Overrides { sets: vec![(*set).to_owned()], ..Overrides::default() };
        assert_eq!(report("", &[], &flags), *expected, "{set}");
    }
    let flags = Overrides {
        profile: Some("fast".into()),
        data_dir: Some("src/lib.rs".into()),
        sinks: vec!["nul".into()],
        sources: vec!["replay:x".into()],
        sets: Vec::new(),
    };
    let expected = "\
--source replay:x: source: unknown source \"replay:x\"; write sim or capture:PATH
--profile fast: profile: unknown profile \"fast\"; choose from \"default\", \"low-memory\", \"low-latency\", \"high-volume\"
--sink nul: sink.kind: unknown sink \"nul\", did you mean \"null\"?
--data-dir src/lib.rs: data.dir: cannot write to src/lib.rs: src/lib.rs is not a folder; choose a folder that this user can write to";
    assert_eq!(report("", &[], &flags), expected);
}

#[test]
fn a_sink_that_is_named_twice_by_flags() {
    let flags = Overrides { sinks: vec!["null".into(), "parquet".into(), "null".into()], ..Overrides::default() };
    let expected =
        "--sink null: sink.2.kind: sink 0 and sink 2 are both \"null\"; one of each kind can be had; remove one";
    assert_eq!(report("[[sink]]\nkind = \"postgres\"", &[], &flags), expected);
}

#[test]
fn a_file_in_the_place_of_the_journal_is_blamed_on_the_data_folder() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("journal"), "").unwrap();
    let text = report(&format!("[data]\ndir = \"{}\"", dir.path().display()), &[], &Overrides::default());
    let folder = dir.path().display();
    let expected = format!(
        "feedd.toml:2:7: data.dir: cannot write to {folder}/journal: {folder}/journal is not a folder; choose a folder \
         that this user can write to"
    );
    assert_eq!(text.lines().next(), Some(expected.as_str()));
}

#[test]
fn a_key_of_several_sinks_needs_a_number() {
    let toml = "[[sink]]\nkind = \"null\"\n[[sink]]\nkind = \"parquet\"";
    let flags = Overrides { sets: vec!["sink.kind=postgres".into()], ..Overrides::default() };
    let expected = "--set sink.kind=postgres: sink.kind: no sink \"kind\"; there are 2, counted from 0, and 2 adds one";
    assert_eq!(report(toml, &[], &flags), expected);
}

#[rustfmt::skip]
const SET_CASES: &[(&str, &str)] = &[
    ("batch.max_events", "--set batch.max_events: expected key.path=value, such as batch.max_events=250"),
    ("batch.max_evnts=1", "--set batch.max_evnts=1: batch.max_evnts: unknown key `batch.max_evnts`, did you mean `batch.max_events`?"),
    ("bathc.max_events=1", "--set bathc.max_events=1: bathc.max_events: unknown key `bathc.max_events`, did you mean `batch.max_events`?"),
    ("nothing=1", "--set nothing=1: nothing: unknown key `nothing`; write section.key=value, such as batch.max_events=250"),
    ("a.b.c.d.e.f.g=1", "--set a.b.c.d.e.f.g=1: a.b.c.d.e.f.g: no key lies this deep; write section.key"),
    ("ring.capacity=0", "--set ring.capacity=0: ring.capacity: 0 is out of range; give a whole number from 64 to 16777216"),
    ("source.0.core=7", "--set source.0.core=7: source.0.core: no core 7 for this process; there are 0, 1; choose one, \"auto\" or \"none\""),
];

proptest! {
    /// Whatever is written into the environment or a flag is taken or refused, without a panic.
    #[test]
    fn any_variable_and_flag(name in "(SOURCE|SINK|BATCH|LOG)?(__[0-9A-Z_]{0,9}){0,3}", value: String, set: String) {
        let sinks = vec![set.clone()];
        let flags = Overrides { sets: vec![set], sources: vec![value.clone()], sinks, ..Overrides::default() };
        let env = [(format!("FEEDD_{name}"), value)];
        let machine = Machine { cores: &[], venues: &[] };
        if let Err(errors) = load(None, env.into_iter(), &flags, &machine) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    /// So is whatever is written into the file.
    #[test]
    fn any_file(text in "([a-z]{1,3}|batch|max_age|source|sink|postgres|password|[.=\\[\\]{},\"'#5 \n_-]){0,40}") {
        prop_assert!(!of_file(&text).is_empty());
    }
}
