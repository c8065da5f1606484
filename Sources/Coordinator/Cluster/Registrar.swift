import Foundation
import Logging
import Protocol

/// Adds invited machines to the list. A connection with an invitation's key may send only one message, a request to
/// join; anything else ends the connection.
package struct Registrar {
    /// Maximum size of a request to join, in bytes.
    private static let maxRequest = 1024
    /// Maximum number of connections that wait for the other side to close them after the answer.
    private static let maxAnswered = 1024
    /// Time that an invited machine has to close its connection after the answer.
    private static let farewell: Duration = .seconds(2)

    private let folder: JoinFolder?
    /// Connections that have been answered, and when.
    private var answered: [Connection: Duration] = [:]

    /// - Parameter folder: folder of the list; nil if nobody is invited
    package init(_ folder: JoinFolder?) { self.folder = folder }

    /// Handles a message on a connection with an invitation's key.
    ///
    /// - Parameters:
    ///   - frames: the message
    ///   - origin: where it came from
    ///   - now: time on a monotonic clock
    ///   - say: tells the user
    /// - Returns: the answer; nil to close the connection
    package mutating func answer(
        _ frames: [[UInt8]],
        from origin: Origin,
        at now: Duration,
        say: (String, Logger.Level) -> Void
    ) -> CoordinatorMessage? {
        guard let key = origin.key, let connection = origin.connection,
            answered[connection] == nil, answered.count < Self.maxAnswered,
            frames.count == 1, frames[0].count <= Self.maxRequest,
            case .join(let request)? = try? WorkerMessage(frames: frames)
        else { return nil }
        answered[connection] = now
        return .joined(JoinAnswer(register(request, by: key, from: origin.address, say)))
    }

    private func register(
        _ request: JoinRequest,
        by invitation: PublicKey,
        from address: String,
        _ say: (String, Logger.Level) -> Void
    ) -> JoinAnswer.Outcome {
        guard let folder else { return .refused("it invites nobody") }
        let origin = address.isEmpty ? "this host" : address
        do {
            let registration = try folder.change { book in
                book.register(
                    request,
                    by: invitation,
                    from: address,
                    at: Date().timeIntervalSince1970
                )
            }
            switch registration {
            case .joined(let member):
                say(
                    "machine \(member.name) (\(member.key.fingerprint)) joined the cluster from \(origin), by "
                        + "invitation \(member.invitation)",
                    .notice
                )
                return .joined(name: member.name)
            case .known(let member): return .joined(name: member.name)
            case .refused(let reason):
                say(
                    "machine \(request.name) at \(origin) was not allowed to join: \(reason)",
                    .warning
                )
                return .refused(reason)
            }
        } catch {
            say("machine \(request.name) at \(origin) could not join: \(error)", .warning)
            return .refused("the list of machines cannot be written there; see the messages there")
        }
    }

    /// Connections of machines that did not close them after their answer: to be closed.
    package mutating func takeOverdue(at now: Duration) -> [Connection] {
        let overdue = answered.filter { now - $0.value >= Self.farewell }
        for connection in overdue.keys { answered[connection] = nil }
        return Array(overdue.keys)
    }
}
