import Foundation
import Protocol
import Synchronization

/// The one writer of standard error: lines for people, and below them a line of progress that is drawn again
/// and again.
///
/// A line that cannot be written is lost, and nothing else is: a render does not end, or wait, because
/// nobody reads its log.
enum StandardError {
    fileprivate struct State {
        /// The progress that is shown.
        var progress = ""
        /// Lines that a reader who did not read has not got.
        var lost = 0
    }

    private static let state = Mutex(State())

    /// Prints a line.
    ///
    /// - Parameters:
    ///   - line: without its end
    ///   - isLast: waits longer for a reader who does not read
    static func write(_ line: String, isLast: Bool = false) {
        state.withLock { state in
            var text = state.erasing + Terminal.current.spelled(line) + "\n"
            if state.lost > 0 { text = "(\(state.lost) lines are missing here)\n" + text }
            text += state.progress
            let patience: Int32 = isLast ? 2000 : state.lost > 0 ? 0 : 200
            let status = StandardStreams.write(
                Array(text.utf8),
                to: STDERR_FILENO,
                patience: patience
            )
            state.lost = status == EAGAIN ? state.lost + 1 : 0
        }
    }

    /// Draws the line of progress in place of the last one; an empty one removes it. Only where the
    /// terminal redraws.
    ///
    /// - Parameter line: fits the terminal's width
    static func progress(_ line: String) {
        state.withLock { state in
            let erasing = state.erasing
            state.progress = Terminal.current.spelled(line)
            guard !(erasing + state.progress).isEmpty, state.lost == 0 else { return }
            let text = Array((erasing + state.progress).utf8)
            if StandardStreams.write(text, to: STDERR_FILENO, patience: 200) == EAGAIN {
                state.lost += 1
            }
        }
    }
}

extension StandardError.State {
    /// What removes the progress.
    fileprivate var erasing: String { progress.isEmpty ? "" : "\r\u{1B}[K" }
}
