//! The queue before a pipe: real ones, which block as stderr does.

use std::io::{BufRead as _, BufReader, PipeReader};

use super::*;

/// Longer than any of this takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const LINE: usize = 1024;

/// A queue whose lines come out of this pipe.
fn piped() -> (Queue, PipeReader) {
    let (reader, writer) = io::pipe().unwrap();
    (Queue::to(writer).unwrap(), reader)
}

/// A line of this length that begins with `text`.
fn line(text: &str) -> Vec<u8> {
    let mut line = format!("{text:LINE$}").into_bytes();
    line[LINE - 1] = b'\n';
    line
}

/// Line by line what comes out, without what fills the lines up, as many as these.
fn read(reader: PipeReader, count: usize) -> Vec<String> {
    let lines = BufReader::new(reader).lines().map(|line| line.unwrap().trim_end().to_owned());
    lines.take(count).collect()
}

#[test]
fn g29_lines_that_nobody_reads_are_bounded_and_counted_and_hold_up_nobody() {
    let (queue, reader) = piped();
    let all = 2 * ROOM / LINE;
    for number in 0..all {
        queue.put(Kind::Ordinary, &line(&number.to_string()));
    }
    let [(_, dropped), (_, lost_audit)] = queue.dropped();
    let dropped = usize::try_from(dropped).unwrap();
    // The pipe holds some more than the queue.
    assert!(dropped > all / 4 && dropped <= all / 2, "{dropped} of {all}");
    assert_eq!(lost_audit, 0);

    let kept = read(reader, all - dropped);

    let numbers: Vec<usize> = kept.iter().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.is_sorted(), "out of order");
    assert_eq!(numbers.first(), Some(&0));
}

#[test]
fn s18_lines_of_the_audit_have_room_when_others_have_none() {
    let (queue, reader) = piped();
    while queue.dropped()[0].1 == 0 {
        queue.put(Kind::Ordinary, &line("ordinary"));
    }
    for number in 0..100 {
        queue.put(Kind::Audit, &line(&format!("audit {number}")));
    }
    // Even these are bounded.
    assert_eq!(queue.dropped()[1].1, 0);
    for _ in 0..ROOM / LINE {
        queue.put(Kind::Audit, &line("more"));
    }
    assert!(queue.dropped()[1].1 > 0);

    let mut lines = BufReader::new(reader).lines().map(|line| line.unwrap().trim_end().to_owned());

    let audited: Vec<_> = lines.by_ref().filter(|line| line != "ordinary").take(100).collect();
    assert!(audited.iter().eq(&(0..100).map(|n| format!("audit {n}")).collect::<Vec<_>>()));
}

#[test]
fn room_is_given_back_and_a_flush_waits_for_the_last_line() {
    let (queue, reader) = piped();
    let reading = thread::spawn(move || read(reader, 3 * ROOM / LINE));
    for _ in 0..3 {
        for _ in 0..ROOM / LINE {
            queue.put(Kind::Ordinary, &line("ordinary"));
        }
        queue.flush(PATIENCE);
        let state = queue.lock();
        assert_eq!((state.lines.len(), state.is_writing, state.ordinary.taken), (0, false, 0));
    }
    assert_eq!(reading.join().unwrap().len(), 3 * ROOM / LINE);
    assert_eq!(queue.dropped(), [("ordinary", 0), ("audit", 0)]);
}

#[test]
fn a_flush_gives_up_on_a_reader_that_stalls() {
    let (queue, _reader) = piped();
    queue.put(Kind::Ordinary, &vec![b'x'; ROOM]);
    queue.flush(Duration::from_millis(10));
    let state = queue.lock();
    assert!(state.is_writing || !state.lines.is_empty());
}

#[test]
fn a_line_that_cannot_be_written_is_lost_and_counted() {
    let (queue, reader) = piped();
    drop(reader);
    queue.put(Kind::Audit, &line("audit"));
    queue.flush(PATIENCE);
    assert_eq!(queue.dropped(), [("ordinary", 0), ("audit", 1)]);
}
