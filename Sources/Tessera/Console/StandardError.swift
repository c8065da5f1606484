import Foundation
import Protocol
import Synchronization

/// The only writer of standard error: human-readable lines, with a progress line below them that is redrawn.
///
/// A line that cannot be written is dropped without further consequences: a render neither fails nor blocks because
/// nobody reads its log.
enum StandardError {
    fileprivate struct State {
        /// The current progress line.
        var progress = ""
        /// Lines dropped because the reader was too slow.
        var lost = 0
    }

    private static let state = Mutex(State())

    /// Prints a line.
    ///
    /// - Parameters:
    ///   - line: the text, without a line feed
    ///   - isLast: whether this is the last line, which waits longer for a slow reader
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

    /// Replaces the progress line; an empty one removes it. Only for terminals that can redraw lines.
    ///
    /// - Parameter line: the text, no wider than the terminal
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
    /// The escape sequence that erases the progress line.
    fileprivate var erasing: String { progress.isEmpty ? "" : "\r\u{1B}[K" }
}
