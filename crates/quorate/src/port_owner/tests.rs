//! Reading the kernel's table, and finding a real owner: this process.

use std::net::TcpListener;

use super::*;

const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000   107        0 11111 1 0 100 0 0 10 0
   1: 0100007F:094B 0100007F:C001 01 00000000:00000000 00:00000000 00000000   107        0 22222 1 0 20 4 30 10 -1
   2: 00000000:094C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 33333 1 0 100 0 0 10 0
   3: broken
";

#[test]
fn only_listeners_on_that_port_are_taken_from_the_table() {
    assert_eq!(
        listeners(TABLE, 2379),
        [Listener {
            inode: 11111,
            user: 107
        }]
    );
    assert_eq!(
        listeners(TABLE, 2380),
        [Listener {
            inode: 33333,
            user: 0
        }]
    );
    assert_eq!(listeners(TABLE, 2381), []);
}

#[test]
#[cfg(target_os = "linux")]
fn the_owner_of_a_port_is_named_with_its_command() {
    for address in ["127.0.0.1:0", "0.0.0.0:0"] {
        let listener = TcpListener::bind(address).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let said = describe(port);
        assert!(
            said.starts_with(&format!("process {} (", std::process::id())),
            "{said}"
        );
        assert!(said.contains("quorate"), "the test program's name: {said}");
    }
}

#[test]
fn a_port_that_nobody_has_is_nobodys() {
    // Port 1 is for a service that died out with its century.
    assert_eq!(
        describe(1),
        "another process (this system does not tell which)"
    );
}
