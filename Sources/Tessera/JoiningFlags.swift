import ArgumentParser
import Coordinator
import Engine
import Fleet
import Foundation
import Protocol
import Worker

/// Flags for joining a cluster, or for reconnecting to one.
struct JoiningFlags: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "The invitation, tessera://HOST:PORT#CODE; - reads it from standard input. (default: the cluster that this machine has joined)",
            valueName: "invitation"
        )
    )
    var invitation: [String] = []

    @Option(
        help:
            "Name of this machine in the cluster; a number is added where another has it. (default: its host name)"
    )
    var name: String?

    @Flag(
        help: ArgumentHelp(
            "Find the coordinator on this network segment, where it announces itself: the invitation is then its code alone, "
                + "or the whole line, whose address is not used."
        )
    )
    var lan = false

    @OptionGroup var proxy: ProxyFlags

    mutating func validate() throws {
        if lan, proxy.socksProxy != nil {
            throw ValidationError("--lan and --socks-proxy: choose one of them.")
        }
        if let name, !JoinBook.isName(name) {
            throw ValidationError(
                "--name must be 1 to 48 letters (a-z, A-Z), digits or any of ._- beginning with a letter, a digit or _, "
                    + "and not localhost."
            )
        }
    }

    /// Joins, unless this machine has joined already.
    ///
    /// - Parameter relay: path of the cluster file if this machine is a relay
    /// - Returns: the membership, and the coordinator's location
    /// - Throws: `InputError` if the cluster is ambiguous or the invitation is refused, `RenderCancelled`
    func join(asRelayOf relay: String? = nil) throws -> (Membership, Membership.Place) {
        var (membership, place) = try join(remembering: relay)
        guard place.relay != relay else { return (membership, place) }
        place.relay = relay
        try membership.save(place)
        return (membership, place)
    }

    private func join(remembering relay: String?) throws -> (Membership, Membership.Place) {
        let scheme = "tessera://"
        guard var text = try text() else { return try goOn(nil, relay) }
        // A code without an address: search the network segment for its coordinator.
        if lan, !text.contains("#") { text = "\(scheme)lan:7551#\(text)" }
        // An address without a code selects one of the clusters that this machine has joined.
        if text.hasPrefix(scheme), text != scheme, !text.contains("#") {
            return try goOn(String(text.dropFirst(scheme.count)), relay)
        }
        let code = try InvitationCode(text)
        if lan { return try joinOnLAN(code) }
        let way = try proxy.proxy()
        let endpoint = try Endpoint(code.endpoint, reach: .network).through(way, reach: .network)
        let membership = try Membership(of: code.coordinator)
        let key = try membership.ownKey()
        guard let name = try register(code, at: endpoint, key: key) else { throw RenderCancelled() }
        let place = Membership.Place(endpoint: code.endpoint, name: name, proxy: way?.address)
        return try remember(membership, place, key)
    }

    private func remember(
        _ membership: Membership,
        _ place: Membership.Place,
        _ key: PublicKey
    ) throws -> (Membership, Membership.Place) {
        try membership.save(place)
        StandardError.write(
            "joined as \(place.name), with the key \(key.fingerprint) in \(membership.path)"
        )
        return (membership, place)
    }

    /// Joins the invitation's coordinator, wherever it is on this network segment.
    private func joinOnLAN(_ code: InvitationCode) throws -> (Membership, Membership.Place) {
        let membership = try Membership(of: code.coordinator)
        let key = try membership.ownKey()
        let found = try LANJoin(cancellation: interruptible())
            .join(code, key: key, name: name ?? WorkerProcess.Options.hostName)
        guard let (endpoint, name) = found else { throw RenderCancelled() }
        return try remember(membership, Membership.Place(endpoint: endpoint, name: name), key)
    }

    private func interruptible() -> Cancellation {
        let cancellation = Cancellation()
        Interrupts.handle { cancellation.cancel() }
        return cancellation
    }

    /// Reconnects to a cluster that this machine has joined, by the same route as before unless a flag says otherwise.
    private func goOn(_ address: String?, _ relay: String?) throws -> (
        Membership, Membership.Place
    ) {
        let (membership, before) = try Membership.only(address, relay: relay)
        var place = before
        if lan {
            let cancellation = interruptible()
            let endpoint = try LANJoin(cancellation: cancellation).find(membership)
            if cancellation.isCancelled { throw RenderCancelled() }
            if let endpoint {
                (place.endpoint, place.proxy) = (endpoint, nil)
            } else {
                StandardError.write(
                    "the coordinator does not announce itself on this network segment now: calling \(place.endpoint), where "
                        + "it was"
                )
            }
        } else {
            place.proxy = try proxy.proxy(remembered: place.proxy)?.address
        }
        if place != before { try membership.save(place) }
        return (membership, place)
    }

    /// The invitation, read from the command line or standard input.
    ///
    /// - Returns: nil if none is asked for
    /// - Throws: `InputError` if it is empty, as with a shell's variable that is not set
    private func text() throws -> String? {
        guard let first = invitation.first else { return nil }
        guard invitation.count == 1 else { return invitation.joined(separator: " ") }
        let text = (first == "-" ? readLine() ?? "" : first)
            .trimmingCharacters(in: .whitespaces)
            .replacing("tessera join ", with: "", maxReplacements: 1)
        guard !text.isEmpty else {
            throw InputError(
                "the invitation",
                first == "-" ? "standard input has none" : "it is empty",
                fix: "Pass the line that tessera cluster invite printed"
            )
        }
        return text
    }

    /// - Returns: the name assigned to this machine; nil if interrupted
    private func register(
        _ code: InvitationCode,
        at endpoint: Endpoint,
        key: PublicKey
    ) throws -> String? {
        let wish = name ?? WorkerProcess.Options.hostName
        return try Registration(code, at: endpoint, key: key, name: wish)
            .register(interruptible()) { reason in
                switch reason {
                case .nobody(let obstacle):
                    let why = obstacle.map { " (\($0))" } ?? ""
                    StandardError.write(
                        "no coordinator answers at \(endpoint.address)\(why): trying until one does"
                    )
                case .withoutKeys:
                    StandardError.write(
                        "what listens at \(endpoint.address) has no keys, like a coordinator that was started before the first "
                            + "invitation: trying until the next one does"
                    )
                }
            }
    }
}
