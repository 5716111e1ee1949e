use super::*;

fn set(key: &str, value: &str) -> (String, String, String) {
    ("--set".to_owned(), key.to_owned(), value.to_owned())
}

fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn file(text: &str) -> (tempfile::TempDir, Option<PathBuf>) {
    let dir = tempfile::TempDir::new().expect("a temporary directory");
    let path = dir.path().join("tally.toml");
    std::fs::write(&path, text).expect("it can be written");
    (dir, Some(path))
}

#[test]
fn later_layers_win_and_say_so() {
    let (_dir, file) = file(
        "shards = 4\n[kafka]\nbrokers = \"a:1\"\nprefix = \"county\"\n[kafka.properties]\n\"security.protocol\" = \"SSL\"\n",
    );
    let path = file.clone().expect("a path");
    let config = Config::load(&Layers {
        file,
        environment: vec![
            variable("TALLY_KAFKA_BROKERS", "b:2"),
            variable("TALLY_SHARDS", "8"),
        ],
        flags: vec![set("shards", "32")],
    })
    .expect("it holds together");
    let shown = config.shown();
    let of = |key: &str| {
        let (_, value, origin) = shown
            .iter()
            .find(|(known, ..)| known == key)
            .expect("it is shown");
        (value.clone(), (*origin).clone())
    };
    assert_eq!(
        of("shards"),
        ("32".to_owned(), Origin::Flag("--set".to_owned()))
    );
    assert_eq!(
        of("kafka.brokers"),
        (
            "b:2".to_owned(),
            Origin::Environment("TALLY_KAFKA_BROKERS".to_owned())
        )
    );
    assert_eq!(
        of("kafka.prefix"),
        ("county".to_owned(), Origin::File(path))
    );
    assert_eq!(of("kafka.replication"), ("3".to_owned(), Origin::Default));
    assert_eq!(
        config.kafka_properties().collect::<Vec<_>>(),
        [("security.protocol", "SSL")]
    );
    assert_eq!(config.number("shards"), 32);
}

#[test]
fn every_fault_is_named_with_its_place() {
    let (_dir, file) = file(
        "shard = 4\n[kafka]\nbroker = \"a:1\"\nreplication = 0\n[mesh]\nlists = \"http://x\"\nwhen = 2026-01-01\n",
    );
    let faults = Config::load(&Layers {
        file,
        environment: vec![
            variable("TALLY_KAFKA_BROKER", "x"),
            variable("TALLY_CHECKS_FRESHNESS", "soon"),
            // Nothing is known of it: a cluster names services so.
            variable("TALLY_LISTS_PORT", "tcp://10.0.0.1"),
        ],
        flags: vec![set("listen", "nowhere")],
    })
    .expect_err("it does not hold together");
    let all = faults.to_string();
    for wanted in [
        "there is no key `shard`; did you mean `shards`?",
        "there is no key `kafka.broker`; did you mean `kafka.brokers`?",
        "`kafka.replication` is 0: write a whole number from 1 to 32",
        "`mesh.lists` is http://x: write https://HOST:PORT",
        "`mesh.when` is datetime",
        "environment TALLY_KAFKA_BROKER: there is no such setting",
        "environment TALLY_CHECKS_FRESHNESS: `checks.freshness` is soon",
        "flag --set: `listen` is nowhere: write an address",
    ] {
        assert!(all.contains(wanted), "{wanted} in\n{all}");
    }
    assert_eq!(faults.0.len(), 8, "{all}");
}

#[test]
fn no_password_is_shown() {
    const PASSWORD: &str = "hunter2";
    let (_dir, file) = file(&format!("[store]\nurl = \"postgres://u:{PASSWORD}@h/db\n"));
    let layers = Layers {
        file,
        ..Layers::default()
    };
    let broken = Config::load(&layers).expect_err("a quote is not closed");
    assert!(!broken.to_string().contains(PASSWORD), "{broken}");
    let wrong = vec![set("store.url", &format!("u:{PASSWORD}@h/db"))];
    let layers = Layers {
        flags: wrong,
        ..Layers::default()
    };
    let wrong = Config::load(&layers).expect_err("it is no URL");
    assert!(!wrong.to_string().contains(PASSWORD), "{wrong}");
    let flags = vec![
        set("store.url", &format!("postgres://u:{PASSWORD}@h/db")),
        set(
            "keyring.url",
            &format!("postgres://h/db?user=u&password={PASSWORD}"),
        ),
        set("kafka.properties.sasl.password", PASSWORD),
        set("kafka.properties.sasl.oauthbearer.config", PASSWORD),
        set("kafka.properties.sasl.username", "mesh"),
    ];
    let config = Config::load(&Layers {
        flags,
        ..Layers::default()
    })
    .expect("it holds");
    let shown = config.shown();
    assert!(shown.iter().any(|(_, value, _)| value == "mesh"));
    for (key, value, _) in shown {
        assert!(!value.contains(PASSWORD), "{key}");
    }
}

#[test]
fn the_defaults_hold_together_and_give_each_role_a_port() {
    let config = Config::load(&Layers::default()).expect("the defaults hold");
    let ports = Role::ALL.map(|role| config.listen(role).expect("a port").port());
    assert_eq!(ports, [7443, 7444, 7445, 7446, 7447, 7448]);
    let flags = vec![set("mesh.lists", "https://lists.example")];
    let config = Config::load(&Layers {
        flags,
        ..Layers::default()
    })
    .expect("it holds");
    assert!(config.listen(Role::Lists).is_err());
}

#[test]
fn the_documentation_has_every_setting() {
    let kind = |kind| match kind {
        Kind::Text => "text".to_owned(),
        Kind::Listen => "address with port".to_owned(),
        Kind::Endpoint => "https://HOST:PORT".to_owned(),
        Kind::Number(least, most) => format!("{least} to {most}"),
        Kind::Switch => "true or false".to_owned(),
        Kind::Department => "code of a department".to_owned(),
        Kind::Store => "sqlite or postgres://…".to_owned(),
    };
    let rows = SETTINGS.iter().map(|setting| {
        let default = match setting.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let (key, variable) = (setting.key, setting.variable());
        let (kind, meaning) = (kind(setting.kind), setting.meaning);
        format!("| `{key}` | `{variable}` | {kind} | {default} | {meaning} |\n")
    });
    let rows: String = rows.collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CONFIGURATION.md");
    let text = std::fs::read_to_string(&path).expect("it is there");
    let head = "|---|---|---|---|---|\n";
    let (before, rest) = text.split_once(head).expect("it has the table");
    let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
    let wanted = format!("{before}{head}{rows}\n{after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, wanted).expect("it can be written");
    } else {
        assert_eq!(text, wanted, "write it anew with UPDATE=1");
    }
}
