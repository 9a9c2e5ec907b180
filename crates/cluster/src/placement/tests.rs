use proptest::prelude::*;

use super::*;

fn name(number: usize) -> NodeName {
    NodeName::new(&format!("n{number}")).unwrap()
}

fn here(count: usize) -> BTreeMap<NodeName, Presence> {
    (0..count).map(|number| (name(number), Presence::Here)).collect()
}

/// Every node that joins has copied what it should; until nothing changes.
fn settle(mut table: Table, members: &BTreeMap<NodeName, Presence>) -> Table {
    for _ in 0..10 {
        let next = table.next(members);
        let mut ready = next.clone();
        for (shard, place) in &next.shards {
            for (node, standing) in &place.hosts {
                if *standing == Standing::Joining {
                    ready.set_ready(*shard, node);
                }
            }
        }
        if ready == table {
            return table;
        }
        table = ready;
    }
    panic!("the table does not settle");
}

fn loads(table: &Table) -> BTreeMap<NodeName, usize> {
    let mut loads = BTreeMap::new();
    for (_, place) in table.shards.iter().filter(|(shard, _)| **shard != ShardId::SYSTEM) {
        place.hosts.keys().for_each(|node| *loads.entry(node.clone()).or_default() += 1);
    }
    loads
}

/// How many copies `after` has that `before` has not.
fn copied(before: &Table, after: &Table) -> usize {
    let new = |(shard, place): (&ShardId, &Place)| {
        let old = &before.shards[shard].hosts;
        place.hosts.keys().filter(|node| !old.contains_key(*node)).count()
    };
    after.shards.iter().filter(|(shard, _)| **shard != ShardId::SYSTEM).map(new).sum()
}

#[test]
fn up_to_three_nodes_all_host_all() {
    let mut table = Table::first(&name(0), 16, 2);
    for count in 1..=3 {
        table = settle(table, &here(count));
        assert!(table.shards.values().all(|place| place.hosts.len() == count), "{count}");
    }
    table = settle(table, &here(4));
    for (shard, place) in &table.shards {
        assert_eq!(place.hosts.len(), if *shard == ShardId::SYSTEM { 4 } else { 2 });
    }
}

#[test]
fn who_leaves_stays_until_who_joins_is_ready() {
    let table = settle(Table::first(&name(0), 8, 3), &here(4));
    let mut members = here(4);
    members.insert(name(1), Presence::Draining);
    let next = table.next(&members);
    for (shard, place) in next.shards.iter().filter(|(_, place)| place.hosts.contains_key(&name(1))) {
        let joining = place.hosts.values().any(|standing| *standing == Standing::Joining);
        assert_eq!(place.hosts[&name(1)], Standing::Leaving, "{shard:?}");
        assert!(joining, "{shard:?}: it would have gone already");
    }
    assert_eq!(next.next(&members), next, "nothing more to do before they are ready");
    let settled = settle(next, &members);
    assert!(settled.is_free_of(&name(1)));
    assert!(settled.shards.values().all(|place| place.hosts.len() == 3));
}

#[test]
fn the_last_host_of_a_shard_is_never_forgotten() {
    let table = Table::first(&name(0), 4, 3);
    let mut members = here(2);
    members.insert(name(0), Presence::Gone);
    let next = table.next(&members);
    assert!(next.shards.values().all(|place| place.hosts[&name(0)] == Standing::Ready));
    members.insert(name(0), Presence::Draining);
    let next = table.next(&members);
    assert!(next.shards.values().all(|place| place.hosts[&name(0)] == Standing::Leaving));
    assert!(settle(next, &members).is_free_of(&name(0)));
}

#[test]
fn a_shard_that_was_moved_by_hand_stays_there() {
    let members = here(8);
    let mut table = settle(Table::first(&name(0), 32, 2), &members);
    let shard = ShardId(5);
    let elsewhere = (0..8).map(name).find(|node| !table.shards[&shard].hosts.contains_key(node)).unwrap();
    table.shards.get_mut(&shard).unwrap().by_hand = vec![elsewhere.clone()];
    let table = settle(table, &members);
    assert!(table.shards[&shard].hosts.contains_key(&elsewhere));
    assert_eq!(table.shards[&shard].hosts.len(), 2);
}

#[test]
fn a_table_goes_there_and_back() {
    let mut table = Table::first(&name(0), 300, 3).next(&here(7));
    table.shards.get_mut(&ShardId(3)).unwrap().by_hand = vec![name(6)];
    assert_eq!(Table::decode(&table.encode()).unwrap(), table);
    assert!(matches!(Table::decode(b"{\"form\":2,\"new\":1}"), Err(TableError::Newer(2))));
    let beyond = b"{\"form\":1,\"replicas\":3,\"nodes\":[],\"shards\":[[1,[[0,\"r\"]],[]]]}";
    for damaged in [&b""[..], b"{}", b"{\"form\":1}", beyond] {
        assert!(matches!(Table::decode(damaged), Err(TableError::Damaged(_))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nodes come, drain and go as they like: a shard that has an up-to-date host never loses the last one, and no more hosts at one step than
    /// really went.
    #[test]
    fn a_shard_keeps_its_hosts(steps in prop::collection::vec((0usize..8, 0u8..4), 1..40), replicas in 1usize..5) {
        let mut members = here(1);
        let mut table = Table::first(&name(0), 6, replicas);
        for (number, what) in steps {
            match what {
                0 => drop(members.insert(name(number), Presence::Here)),
                1 => drop(members.insert(name(number), Presence::Draining)),
                2 => drop(members.insert(name(number), Presence::Gone)),
                _ => {
                    let joined: Vec<_> = table.of(&name(number)).map(|(shard, _)| shard).collect();
                    joined.into_iter().for_each(|shard| table.set_ready(shard, &name(number)));
                }
            }
            let next = table.next(&members);
            for (shard, place) in &next.shards {
                let up_to_date = |table: &Table| table.hosts(*shard).cloned().collect::<Vec<_>>();
                let (before, after) = (up_to_date(&table), up_to_date(&next));
                prop_assert!(!after.is_empty(), "{shard:?} is lost");
                let lost = before.iter().filter(|node| !after.contains(node) && members[*node] == Presence::Here);
                let ready = place.hosts.values().filter(|standing| **standing == Standing::Ready).count();
                prop_assert!(lost.count() == 0 || ready >= replicas.min(after.len()), "{shard:?} has let go too early");
            }
            table = next;
        }
    }
}

/// The figures in docs/cluster.md.
#[test]
fn a_thousand_nodes_have_even_shares_and_move_little() {
    let (nodes, shards, replicas) = (1000, 4096, 3);
    // As if it had grown to this size: no copy is counted.
    let table = settle(Table::first(&name(0), shards, replicas), &here(nodes));
    let encoded = table.encode().len();
    let share = shards as f64 * replicas as f64 / nodes as f64;
    let loads_before = loads(&table);
    let (least, most) = (loads_before.values().min().unwrap(), loads_before.values().max().unwrap());

    let one_more = settle(table.clone(), &here(nodes + 1));
    let mut one_less = here(nodes);
    one_less.insert(name(500), Presence::Gone);
    let lost = loads_before[&name(500)];
    let one_less = settle(table.clone(), &one_less);
    let (came, went) = (copied(&table, &one_more), copied(&table, &one_less));
    println!(
        "share {share}, least {least}, most {most}, one more copies {came}, one less (had {lost}) {went}, {encoded} bytes"
    );
    assert_eq!(loads_before.len(), nodes);
    assert!((*most as f64) < share * 1.2 && (*least as f64) > share * 0.2, "{least}..{most} of {share}");
    assert!(encoded < 300_000, "16,384 shards take four times as much, and etcd 1.5 MB at most");
    assert!(came < share as usize * 3 && went < lost * 3, "{came}, {went}");
}
