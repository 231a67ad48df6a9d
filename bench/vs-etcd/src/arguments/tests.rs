use super::*;

#[test]
fn every_member_has_as_many_connections_and_there_are_at_most_sixteen() {
    let connections = |clients| {
        let kind = Kind::Put;
        Cell { kind, clients }.connections()
    };
    assert_eq!(connections(1), 3);
    assert_eq!(connections(10), 9);
    assert_eq!(connections(16), 15);
    assert_eq!(connections(1000), 15);
}

#[test]
fn without_only_there_are_puts_and_gets_of_one_to_a_thousand_clients() {
    let arguments = Arguments::parse_from(["vs-etcd"]);
    let cells: Vec<String> = arguments.cells().iter().map(Cell::to_string).collect();
    assert_eq!(
        cells.join(" "),
        "put:1 put:10 put:100 put:1000 get:1 get:10 get:100 get:1000"
    );
}

#[test]
fn only_chooses_cells() {
    let arguments = Arguments::parse_from(["vs-etcd", "--only", "get:100,put:7"]);
    let cells: Vec<String> = arguments.cells().iter().map(Cell::to_string).collect();
    assert_eq!(cells, ["get:100", "put:7"]);
    for kind in Kind::ALL {
        let cell = Cell { kind, clients: 3 };
        assert_eq!(cell.to_string().parse(), Ok(cell));
    }
}

#[test]
fn a_cell_that_cannot_be_measured_is_refused() {
    for wrong in ["put", "del:10", "get:", "get:0", "get:-1", "put:1000000"] {
        assert!(wrong.parse::<Cell>().is_err(), "{wrong}");
    }
}

#[test]
fn a_window_too_short_to_measure_is_refused() {
    for wrong in ["0", "0.1", "NaN", "inf", "five"] {
        assert!(seconds(wrong).is_err(), "{wrong}");
    }
    assert_eq!(seconds("0.5"), Ok(0.5));
}

#[test]
fn what_is_not_a_cell_has_a_word_of_its_own() {
    let arguments = Arguments::parse_from(["vs-etcd", "--rounds", "2", "failover", "--kills", "3"]);
    assert_eq!(arguments.workload, Some(Workload::Failover { kills: 3 }));
    let arguments = Arguments::parse_from(["vs-etcd", "million"]);
    assert_eq!(
        arguments.workload,
        Some(Workload::Million {
            store_keys: 1_000_000
        })
    );
}
