//! The cluster keeps what was committed through every way of ending, and leaves nothing behind.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::server::working_in;
use super::*;
use crate::chaos_proxy::{ChaosProxy, Upstream, Weather};

fn count(cluster: &Cluster) -> String {
    cluster.psql("errand", "select count(*) from kept").unwrap()
}

#[test]
fn what_is_committed_is_there_after_every_way_of_stopping() {
    let mut cluster = Cluster::start().unwrap();
    let settings = "select name, setting from pg_settings where name in \
        ('fsync', 'full_page_writes', 'synchronous_commit', 'listen_addresses', 'max_connections') order by name";
    let expected = "fsync|on\nfull_page_writes|on\nlisten_addresses|\nmax_connections|100\nsynchronous_commit|on";
    assert_eq!(cluster.psql("errand", settings).unwrap(), expected);
    cluster.psql("errand", "create table kept (n int); insert into kept values (1)").unwrap();

    let stops: [fn(&mut Cluster) -> io::Result<()>; 3] = [Cluster::kill, Cluster::stop_immediately, Cluster::stop_fast];
    for (stop, expected) in stops.iter().zip(["1", "2", "3"]) {
        let pid = cluster.pid();
        stop(&mut cluster).unwrap();
        assert_eq!(cluster.pid(), None);
        assert!(cluster.psql("errand", "select 1").is_err());
        cluster.start_again().unwrap();
        assert_ne!(cluster.pid(), pid);
        assert_eq!(count(&cluster), expected);
        cluster.psql("errand", "insert into kept values (1)").unwrap();
    }
    let recoveries = cluster.log().unwrap().matches("was not properly shut down").count();
    assert_eq!(recoveries, 2, "after the kill and the immediate stop, and not after the fast one");
}

#[test]
fn a_kill_takes_a_session_in_the_middle_of_its_work() {
    let mut cluster = Cluster::with(&["max_connections=20"]).unwrap();
    assert_eq!(cluster.psql("errand", "show max_connections").unwrap(), "20");
    cluster.psql("errand", "create table kept (n int)").unwrap();
    // Busy, so that it would not notice the end of its parent by itself.
    let sql = "begin; insert into kept values (1); do $$ begin loop end loop; end $$";
    let url = cluster.url();
    let session = std::thread::spawn(move || psql(&Install::find().unwrap(), &url, sql));
    let active = "select count(*) from pg_stat_activity where query like 'begin; insert%'";
    while cluster.psql("postgres", active).unwrap() != "1" {
        sleep(Duration::from_millis(20));
    }
    cluster.kill().unwrap();
    assert!(session.join().unwrap().is_err());
    assert!(working_in(&cluster.data()).unwrap().is_empty());
    cluster.start_again().unwrap();
    assert_eq!(count(&cluster), "0");
    assert!(!cluster.log().unwrap().contains("shutdown request"), "nobody was asked");
}

#[test]
fn two_at_once_know_nothing_of_each_other_and_leave_nothing() {
    let (one, other) = (Cluster::start().unwrap(), Cluster::with(&["fsync=off"]).unwrap());
    one.create_database("odd \"name\" / 1").unwrap();
    assert_eq!(one.psql("odd \"name\" / 1", "select current_database()").unwrap(), "odd \"name\" / 1");
    assert!(other.psql("odd \"name\" / 1", "select 1").is_err());
    assert_eq!(other.psql("errand", "show fsync").unwrap(), "off");
    let (dir, pid) = (one.dir.clone(), one.pid().unwrap());
    assert!(one.socket().exists() && Path::new(&format!("/proc/{pid}")).exists());
    drop(one);
    assert!(!dir.exists() && !Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(other.psql("errand", "select 1").unwrap(), "1");
}

#[test]
fn a_synchronous_standby_takes_over_with_all_that_was_acknowledged() {
    let mut primary = Cluster::with_tcp(&[]).unwrap();
    primary.psql("errand", "create table kept (n int); insert into kept values (1)").unwrap();
    for kept in ["1", "2"] {
        let standby = primary.standby(None, Following::Synchronous).unwrap();
        assert_eq!(count(&standby), kept);
        assert!(standby.psql("errand", "insert into kept values (0)").is_err(), "it only reads");
        primary.hold_back().unwrap();
        let (install, url) = (Install::find().unwrap(), primary.url());
        let waiting = std::thread::spawn(move || psql(&install, &url, "insert into kept values (0)"));
        sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished(), "it is acknowledged though the standby does not have it");
        primary.kill().unwrap();
        waiting.join().unwrap().unwrap_err();
        standby.promote().unwrap();
        assert_eq!(count(&standby), kept, "nothing more and nothing less");
        standby.psql("errand", "insert into kept values (1)").unwrap();
        primary = standby;
    }
}

#[test]
fn an_asynchronous_one_may_lack_some_of_it_and_stands_where_the_old_one_stood() {
    let mut first = Cluster::with_tcp(&[]).unwrap();
    first.psql("errand", "create table kept (n int)").unwrap();
    let second = first.standby(None, Following::Asynchronous).unwrap();
    first.hold_back().unwrap();
    first.psql("errand", "insert into kept values (1)").unwrap();
    first.kill().unwrap();
    second.promote().unwrap();
    assert_eq!(count(&second), "0");
    let place = first.address();
    drop(first);
    let third = second.standby(place, Following::Synchronous).unwrap();
    assert_eq!(third.address(), place);
    assert_eq!(third.psql("errand", "show transaction_read_only").unwrap(), "on");
}

#[test]
fn the_guard_ends_what_nobody_ends() {
    let mut cluster = Cluster::start().unwrap();
    // A leftover that heeds no order to stop, as a session that computes.
    let mut leftover = std::process::Command::new("sleep").arg("1000").current_dir(cluster.data()).spawn().unwrap();
    // What the end of this process would do.
    cluster.guard.end();
    assert!(!cluster.dir.exists());
    assert_eq!(leftover.wait().unwrap().code(), None, "killed");
    assert!(!Path::new(&format!("/proc/{}/cwd", cluster.pid().unwrap())).exists());
}

#[test]
fn a_setting_that_is_wrong_is_said() {
    let error = Cluster::with(&["max_connections=many"]).unwrap_err().to_string();
    assert!(error.contains("max_connections"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stands_behind_a_proxy_on_either_socket() {
    let mut cluster = Cluster::with_tcp(&[]).unwrap();
    cluster.kill().unwrap();
    cluster.start_again().unwrap();
    for upstream in [Upstream::Unix(cluster.socket()), Upstream::Tcp(cluster.address().unwrap())] {
        let proxy = ChaosProxy::start(upstream).await.unwrap();
        let url = cluster.url_at(proxy.address(), "errand");
        assert_eq!(psql(&cluster.install, &url, "select 6 * 7").unwrap(), "42");
        proxy.set(Weather::CutAfter(0));
        psql(&cluster.install, &url, "select 1").unwrap_err();
    }
}
