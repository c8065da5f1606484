import Coordinator
import Glibc
import Protocol
import Synchronization

/// Tells others who want a render's endpoint what is using it and how far that is, until the render ends.
package final class EndpointAnnouncement: Sendable {
    private struct State {
        var progress: RenderProgress
        var note: EndpointNote?
        var written: ContinuousClock.Instant?
    }

    private let endpoint: Endpoint
    private let state: Mutex<State>

    /// Minimum time between two writes.
    private static let pause: Duration = .milliseconds(250)

    package init(_ endpoint: Endpoint, of role: CoordinatorRole = .render) {
        self.endpoint = endpoint
        state = Mutex(State(progress: RenderProgress(role)))
        EndpointNote.sweep()
        state.withLock { write(&$0) }
    }

    /// Updates the progress of the render.
    package func note(_ report: RenderReport) {
        state.withLock { state in
            state.progress.take(report)
            if let written = state.written, ContinuousClock.now - written < Self.pause { return }
            write(&state)
        }
    }

    /// Reports that nothing is being rendered at the moment.
    package func rest() {
        state.withLock { state in
            // After `stop`, nothing is published.
            guard state.note != nil else { return }
            state.progress = RenderProgress(state.progress.role)
            write(&state)
        }
    }

    private func write(_ state: inout State) {
        guard let process = state.note?.process ?? ProcessIdentity(of: getpid()) else { return }
        let note = EndpointNote(
            process: process,
            work: state.progress.work,
            progress: state.progress.share,
            isService: state.progress.role == .service
        )
        if note != state.note { note.write(at: endpoint) }
        (state.note, state.written) = (note, .now)
    }

    /// Withdraws the announcement.
    package func stop() {
        state.withLock { state in
            state.note?.remove(at: endpoint)
            state.note = nil
        }
    }
}
