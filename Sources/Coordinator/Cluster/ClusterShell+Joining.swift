import Engine
import Foundation
import Logging
import Protocol

/// Machines that were invited. A connection with an invitation's key may send one message, which asks to join; anything
/// else ends it.
extension ClusterShell {
    /// Largest request to join, in bytes.
    private static let maxRequest = 1024
    /// Most connections that wait for the other side to close them after the answer.
    private static let maxAnswered = 1024
    /// Time in which an invited machine closes its connection after the answer.
    private static let farewell: Duration = .seconds(2)

    /// Handles a message on a connection with an invitation's key.
    func greetInvited(_ id: [UInt8], _ frames: [[UInt8]], from origin: Origin) {
        guard let key = origin.key, let connection = origin.connection,
            answered[connection] == nil, answered.count < Self.maxAnswered,
            frames.count == 1, frames[0].count <= Self.maxRequest,
            case .join(let request)? = try? WorkerMessage(frames: frames)
        else {
            dropped += 1
            return disconnect(on: origin)
        }
        answered[connection] = start.duration(to: .now)
        send(.joined(JoinAnswer(register(request, by: key, from: origin.address))), to: id)
    }

    private func register(
        _ request: JoinRequest,
        by invitation: PublicKey,
        from address: String
    ) -> JoinAnswer.Outcome {
        guard let folder = configuration.joined else { return .refused("it invites nobody") }
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
                tell(
                    "machine \(member.name) (\(member.key.fingerprint)) joined the cluster from \(origin), by "
                        + "invitation \(member.invitation)"
                )
                return .joined(name: member.name)
            case .known(let member): return .joined(name: member.name)
            case .refused(let reason):
                warn("machine \(request.name) at \(origin) was not let join: \(reason)")
                return .refused(reason)
            }
        } catch {
            warn("machine \(request.name) at \(origin) could not join: \(error)")
            return .refused("the coordinator cannot write its list of machines; see its messages")
        }
    }

    /// Closes connections of invited machines that had their answer and stay.
    func closeAnsweredConnections() {
        let now = start.duration(to: .now)
        for (connection, since) in answered where now - since >= Self.farewell {
            socket.disconnect(connection)
            answered[connection] = nil
        }
    }
}
