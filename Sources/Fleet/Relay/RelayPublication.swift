import Coordinator
import Engine
import Foundation
import Logging
import Protocol
import Synchronization

/// Publishes the state of a relay to users of its host, `tessera cluster status` and machines on the network segment.
package final class RelayPublication: Sendable {
    private struct State {
        var endpoint: Endpoint?
        var note: EndpointNote
        var announcement: LANAnnouncement?
    }

    private let site: RelaySite
    private let state: Mutex<State>

    /// - Parameters:
    ///   - site: how the relay listens
    ///   - coordinator: HOST:PORT of the coordinator that it relays for
    package init(_ site: RelaySite, for coordinator: String) {
        self.site = site
        let process = ProcessIdentity(of: getpid()) ?? ProcessIdentity(id: 0, start: 0, boot: "")
        let work = "tessera relay for \(coordinator)"
        state = Mutex(State(note: EndpointNote(process: process, work: work, isRelay: true)))
    }

    /// Called once the relay is listening.
    package func begin(at endpoint: Endpoint, _ logger: Logger) {
        EndpointNote.sweep()
        state.withLock { state in
            state.endpoint = endpoint
            state.note.write(at: endpoint)
            state.announcement = site.announce(endpoint, logger)
        }
    }

    /// Called when the relay's condition has changed.
    package func note(_ condition: Relay.Condition) {
        site.note(present: condition.present)
        state.withLock { state in
            state.note.progress = condition.trouble
            if let endpoint = state.endpoint { state.note.write(at: endpoint) }
        }
    }

    /// Withdraws everything that was published.
    package func stop() {
        state.withLock { state in
            if let endpoint = state.endpoint { state.note.remove(at: endpoint) }
            state.announcement?.stop()
            state.endpoint = nil
        }
    }
}
