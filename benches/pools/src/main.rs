//! npad's thread pool beside those of other crates, on the model of a score with two threads. On Linux, from this folder:
//! `cargo run --release -- 300` for so many rounds. Samples wait for moments in which nothing else runs on the machine;
//! after `cargo run --release -- 300 loaded` they do not.

use std::hint::{black_box, spin_loop};
use std::num::NonZero;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// A loop has 64 of them.
type Chunk = [f32; 32];
/// Runs some loops unmeasured, then some more, and returns the microseconds of the latter. A chunk makes so many passes.
type Chain = Box<dyn FnMut(&mut [Chunk], usize, usize, usize) -> f64>;

fn work(chunk: &mut Chunk, passes: usize) {
    for _ in 0..black_box(passes) {
        black_box(&mut *chunk).iter_mut().for_each(|value| *value = *value * 0.999 + 0.001);
    }
}

fn measure(warm: usize, loops: usize, mut each: impl FnMut()) -> f64 {
    (0..warm).for_each(|_| each());
    let start = Instant::now();
    (0..loops).for_each(|_| each());
    start.elapsed().as_secs_f64() * 1e6
}

fn one_thread() -> Chain {
    Box::new(|data, passes, warm, loops| measure(warm, loops, || data.iter_mut().for_each(|chunk| work(chunk, passes))))
}

fn npad() -> Chain {
    let threads = npad::exec::Threads::new(2).unwrap();
    Box::new(move |data, passes, warm, loops| {
        let _awake = threads.awake();
        measure(warm, loops, || threads.chunks(data, 1, |_, chunk| work(&mut chunk[0], passes)))
    })
}

/// `inside`: the whole chain runs in the pool, so that only one of its two threads must be woken for a loop.
fn rayon(inside: bool) -> Chain {
    use rayon::prelude::*;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    Box::new(move |data, passes, warm, loops| {
        let mut each = || data.par_iter_mut().for_each(|chunk| work(chunk, passes));
        let mut chain = || measure(warm, loops, || if inside { each() } else { pool.install(&mut each) });
        if inside { pool.install(chain) } else { chain() }
    })
}

fn paralight() -> Chain {
    use paralight::prelude::*;
    let (num_threads, range_strategy) = (ThreadCount::try_from(2).unwrap(), RangeStrategy::WorkStealing);
    let mut pool = ThreadPoolBuilder { num_threads, range_strategy, cpu_pinning: CpuPinningPolicy::No }.build();
    Box::new(move |data, passes, warm, loops| {
        measure(warm, loops, || data.par_iter_mut().with_thread_pool(&mut pool).for_each(|chunk| work(chunk, passes)))
    })
}

fn micropool() -> Chain {
    use micropool::iter::*;
    let pool = micropool::ThreadPoolBuilder::default().num_threads(1).build();
    Box::new(move |data, passes, warm, loops| {
        let each = || data.par_iter_mut().with_thread_pool(pool.split_by(64)).for_each(|chunk| work(chunk, passes));
        measure(warm, loops, each)
    })
}

fn chili() -> Chain {
    fn halve(scope: &mut chili::Scope<'_>, data: &mut [Chunk], passes: usize) {
        if let [chunk] = data {
            return work(chunk, passes);
        }
        let (left, right) = data.split_at_mut(data.len() / 2);
        scope.join_with_heartbeat_every::<1, _, _, _, _>(|s| halve(s, left, passes), |s| halve(s, right, passes));
    }
    let pool = chili::ThreadPool::with_config(chili::Config { thread_count: NonZero::new(2), ..Default::default() });
    // Only a new scope shares work at once.
    Box::new(move |data, passes, warm, loops| measure(warm, loops, || halve(&mut pool.scope(), data, passes)))
}

/// How many threads of the machine run or could run.
fn runnable() -> usize {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    load.split([' ', '/']).nth(3).unwrap().parse().unwrap()
}

/// Milliseconds that this process has computed.
fn cpu() -> f64 {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut spec) }, 0);
    spec.tv_sec as f64 * 1e3 + spec.tv_nsec as f64 / 1e6
}

fn main() {
    let rounds = std::env::args().nth(1).map_or(300, |rounds| rounds.parse().unwrap());
    let loaded = std::env::args().nth(2).is_some();
    let names = ["one thread", "npad", "rayon", "rayon inside", "paralight", "chili", "micropool"];
    let mut pools = [one_thread(), npad(), rayon(false), rayon(true), paralight(), chili(), micropool()];
    let mut data = [[0.5; 32]; 64];
    let pass = (0..200).map(|_| pools[0](&mut data, 100, 0, 1)).fold(f64::MAX, f64::min) / 100.0;
    let passes = (80.0 / pass) as usize;
    // Stands for ONNX Runtime, which keeps the caller and a thread of its own busy for 4 ms.
    let half = move |data: &mut [Chunk]| one_thread()(data, passes, 0, 50);
    let (start, started) = sync_channel(1);
    let (end, ended) = sync_channel(1);
    std::thread::spawn(move || started.iter().try_for_each(|()| end.send(half(&mut [[0.5; 32]; 64]))));

    println!("us of ten loops / after the backbone / of an empty loop (medians), ms of CPU time in an idle second");
    let mut samples = vec![[const { Vec::new() }; 3]; pools.len()];
    for (round, scenario) in (0..rounds).flat_map(|round| [0, 1, 2].map(|scenario| (round, scenario))) {
        for place in 0..pools.len() {
            let at = (place + round) % pools.len();
            samples[at][scenario].push(loop {
                std::thread::sleep(Duration::from_micros(300));
                if !loaded && runnable() > 1 {
                    continue;
                }
                let pool = &mut pools[at];
                let sample = match scenario {
                    0 => pool(&mut data, passes, 3, 10),
                    1 => {
                        pool(&mut data, passes, 0, 2);
                        start.send(()).unwrap();
                        half(&mut data);
                        while ended.try_recv().is_err() {
                            spin_loop();
                        }
                        pool(&mut data, passes, 0, 10)
                    }
                    _ => pool(&mut data, 0, 20, 100) / 100.0,
                };
                // A worker of this pool may still spin.
                if loaded || runnable() < 3 {
                    break sample;
                }
            });
        }
    }
    for ((name, pool), samples) in names.iter().zip(&mut pools).zip(&mut samples) {
        pool(&mut data, passes, 0, 100);
        let before = cpu();
        std::thread::sleep(Duration::from_secs(1));
        let idle = cpu() - before;
        samples.iter_mut().for_each(|sample| sample.sort_by(f64::total_cmp));
        let [chain, after, empty] = [0, 1, 2].map(|scenario| samples[scenario][rounds / 2]);
        println!("{name:14} {chain:7.0} {after:7.0} {empty:7.2} {idle:7.2}");
    }
}
