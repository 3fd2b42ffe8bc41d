//! A guest that breaks the canonical ABI, which no toolchain's bindings would do: its exports are written by hand. For
//! tests of the host.
//!
//! It exports `priority`. The priority of the first job says what goes wrong; any other number: nothing, and the answer
//! has no column.
//!
//! | priority | what happens |
//! | --- | --- |
//! | 1 | the answer is beyond the memory |
//! | 2 | the answer is not aligned |
//! | 3 | a column is neither there nor not there (a discriminant of 2) |
//! | 4 | a list is longer than the memory |
//! | 5 | a list is not aligned |
//! | 6 | a text is not UTF-8 |
//! | 7 | a list overlaps the answer itself, and is long: the host copies what it must refuse |
//! | 8 | never returns from the function that frees the answer |
//! | 9 | calls an import from there |
//! | 10 | the next call: never returns from the allocation for the question |
//! | 11 | the next call: the allocation is beyond the memory |
//! | 12 | the next call: calls an import from the allocation |
//! | 13 | the next call: the allocation traps |

#![cfg(target_arch = "wasm32")]

use std::alloc::{Layout, alloc};
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

mod bindings {
    // The generated code's own affair. Of it, only the import and the description of the world are used.
    #![allow(missing_docs, unreachable_pub, dead_code, unused_macros, unused_imports)]

    wit_bindgen::generate!({
        path: "../../../wit/berth-policy-1.0.0",
        inline: "
            package berth:faulty;
            world raw {
                import berth:policy/log@1.0.0;
                export berth:policy/priority@1.0.0;
            }
        ",
        world: "berth:faulty/raw",
        generate_all,
    });

    pub(crate) use __link_custom_section_describing_imports as describe;
}

use bindings::berth::policy::log::{Level, write};

/// The record `places`, in words: `strings` (address, length), `lane` (is it there, address, length), `weight`, `rank`,
/// `limits`, `counters`, `affinities`, `affine`, `history`, `again-ms`.
const ANSWER_WORDS: usize = 27;
const STRINGS: usize = 0;
const LANE: usize = 2;
/// Where the column of priorities is in the record `jobs`.
const PRIORITY: usize = 8;

/// What the next call's allocations do.
static NEXT: AtomicU32 = AtomicU32::new(0);
/// What the call does that frees the answer.
static FREE: AtomicU32 = AtomicU32::new(0);

/// `place`, as the component model has it: addresses of the question and of the answer.
// SAFETY: the name is that of the contract, and no other item's.
#[unsafe(export_name = "berth:policy/priority@1.0.0#place")]
extern "C" fn place(question: *const u32) -> *const u32 {
    bindings::describe();
    // SAFETY: the host wrote the question there, with one job at least.
    let wish = unsafe { *(*question.add(PRIORITY) as *const u32) };
    NEXT.store(wish, Relaxed);
    FREE.store(wish, Relaxed);
    let answer = Box::leak(Box::new([0_u32; ANSWER_WORDS + 1]));
    let here = answer.as_ptr();
    let lane = &mut answer[LANE..LANE + 3];
    match wish {
        1 => return usize::MAX.wrapping_sub(15) as *const u32,
        2 => return (here as usize + 1) as *const u32,
        3 => lane[0] = 2,
        4 => lane.copy_from_slice(&[1, 0, u32::MAX / 4]),
        5 => lane.copy_from_slice(&[1, here as u32 + 1, 1]),
        6 => {
            let text: &'static [u8] = &[b'a', 0xff];
            let list = Box::leak(Box::new([text.as_ptr() as u32, text.len() as u32]));
            answer[STRINGS..STRINGS + 2].copy_from_slice(&[list.as_ptr() as u32, 1]);
        }
        7 => lane.copy_from_slice(&[1, here as u32, 1 << 17]),
        _ => (),
    }
    here
}

/// Frees an answer: the host calls it when it has read the answer.
// SAFETY: as above.
#[unsafe(export_name = "cabi_post_berth:policy/priority@1.0.0#place")]
extern "C" fn free(_answer: *const u32) {
    match FREE.load(Relaxed) {
        8 => for_ever(),
        9 => write(Level::Info, "from where nothing may be called"),
        _ => (),
    }
}

/// Allocates for what the host writes into our memory. Nothing is ever freed: a test asks only a few times.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn cabi_realloc(_old: *mut u8, _old_bytes: usize, align: usize, bytes: usize) -> *mut u8 {
    match NEXT.load(Relaxed) {
        10 => for_ever(),
        11 => return usize::MAX.wrapping_sub(15) as *mut u8,
        12 => write(Level::Info, "from where nothing may be called"),
        13 => std::process::abort(),
        _ => (),
    }
    let layout = Layout::from_size_align(bytes.max(1), align).expect("the host asks for what there can be");
    // SAFETY: the layout has a size.
    unsafe { alloc(layout) }
}

fn for_ever() {
    loop {
        black_box(());
    }
}
