//! What fits, and what fits better.

use berth_policy_sdk::matching::{Need as SomeNeed, Offer, Pairs};

use super::*;

fn properties(of: &[(&str, &str)]) -> Vec<Property> {
    of.iter().map(|(name, value)| Property::new(*name, *value)).collect()
}

fn scores(need: &[(&str, &str)], offers: &[&[(&str, &str)]]) -> Vec<u32> {
    let pairs = Pairs {
        instance: String::new(),
        needs: vec![SomeNeed { label: "x".to_owned(), requirements: properties(need) }],
        offers: offers.iter().map(|offer| Offer { capabilities: vec![properties(offer)] }).collect(),
        need: vec![0; offers.len()],
        offer: (0..offers.len() as u32).collect(),
    };
    matches(&Config::default(), &pairs)
}

fn fits(need: &[(&str, &str)], offer: &[(&str, &str)]) -> bool {
    scores(need, &[offer])[0] > 0
}

#[test]
fn a_number_is_a_minimum_and_units_do_not_matter() {
    let need = [("memory", "16G")];
    assert!(
        fits(&need, &[("memory", "16GB")]) && fits(&need, &[("memory", "16GiB")]) && fits(&need, &[("memory", "1T")])
    );
    assert!(!fits(&need, &[("memory", "15G")]) && !fits(&need, &[]) && !fits(&need, &[("memory", "much")]));
    assert!(fits(&need, &[("memory", "4G"), ("memory", "32G")]), "the largest counts");
    assert!(fits(&[("memory", ">=16G")], &[("memory", "16G")]));
    assert!(!fits(&[("memory", "4G"), ("memory", "16G")], &[("memory", "8G")]), "all that is asked for must be there");
    assert!(!fits(&[("version", "3")], &[("version", "4")]), "only what is configured is a number");
}

#[test]
fn wildcards_and_negations_look_at_all_values() {
    assert!(fits(&[("gpu", "*")], &[("gpu", "a100")]) && !fits(&[("gpu", "*")], &[]));
    assert!(fits(&[("memory", "*")], &[("memory", "much")]));
    assert!(fits(&[("gpu", "!a100")], &[("gpu", "h100")]) && fits(&[("gpu", "!a100")], &[]));
    assert!(!fits(&[("gpu", "!a100")], &[("gpu", "a100"), ("gpu", "h100")]));
    assert!(fits(&[("gpu", "!")], &[]) && !fits(&[("gpu", "!*")], &[("gpu", "a100")]));
    assert!(fits(&[("image", "a"), ("image", "b")], &[("image", "*")]), "a bot may be anything");
    assert!(!fits(&[("cores", "4")], &[("cores", "*")]), "but not of any size");
}

#[test]
fn the_tightest_fit_is_the_best() {
    let ranked = scores(&[("memory", "4G")], &[&[("memory", "4G")], &[("memory", "5G")], &[("memory", "64G")]]);
    assert!(ranked[0] > ranked[1] && ranked[1] > ranked[2] && ranked[2] > 0, "{ranked:?}");
    let unasked = scores(&[], &[&[], &[("cores", "4")], &[("cores", "64")]]);
    assert!(unasked[0] > unasked[1] && unasked[1] > unasked[2], "a large bot is kept for those that ask: {unasked:?}");
    let special = scores(&[("cores", "4")], &[&[("cores", "4")], &[("cores", "4"), ("gpu", "a100")]]);
    assert!(special[0] > special[1], "a special bot is kept for those that ask: {special:?}");
    assert_eq!(scores(&[("memory", "4G")], &[&[("memory", "4G")]]), [EXACT]);
}

#[test]
fn of_several_sets_the_best_counts_and_odd_indexes_fit_nothing() {
    let offer = Offer { capabilities: vec![properties(&[("memory", "64G")]), properties(&[("memory", "8G")])] };
    let need = |value: &str| SomeNeed { label: String::new(), requirements: properties(&[("memory", value)]) };
    let pairs = Pairs {
        needs: vec![need("8G"), need("16G"), need("128G")],
        offers: vec![offer],
        need: vec![0, 1, 2, 9, 0],
        offer: vec![0, 0, 0, 0, 9],
        ..Pairs::default()
    };
    let scores = matches(&Config::default(), &pairs);
    assert_eq!(scores[0], EXACT);
    assert!(scores[1] > 0 && scores[1] < EXACT);
    assert_eq!(scores[2..], [0, 0, 0]);
}

/// Small jobs come first; each takes the best of the bots that wait. Large jobs still find a large bot.
#[test]
fn large_bots_are_left_for_large_jobs() {
    let sizes = ["4G", "8G", "16G", "64G"];
    let run = |choose: &dyn Fn(&[u32]) -> Option<usize>| {
        let mut waiting = vec!["64G", "4G", "16G", "8G"];
        let mut served = 0;
        for size in sizes {
            let offers: Vec<Vec<(&str, &str)>> = waiting.iter().map(|size| vec![("memory", *size)]).collect();
            let offers: Vec<&[(&str, &str)]> = offers.iter().map(Vec::as_slice).collect();
            if let Some(bot) = choose(&scores(&[("memory", size)], &offers)) {
                waiting.remove(bot);
                served += 1;
            }
        }
        served
    };
    let any = run(&|scores| scores.iter().position(|score| *score > 0));
    let best = run(&|scores| (0..scores.len()).filter(|at| scores[*at] > 0).max_by_key(|at| scores[*at]));
    berth_policy_model::report("at-least", "jobs of 4 sizes served by 4 bots, any that fits", "-", any);
    berth_policy_model::report("at-least", "jobs of 4 sizes served by 4 bots, best fit", "4", best);
    assert_eq!(best, 4);
    assert!(any < 4);
}
