import ArgumentParser
import Coordinator
import Engine
import Fleet
import Foundation
import Logging
import Protocol
import Worker

/// `tessera join`: makes this machine a worker of a cluster that it was invited to.
struct Join: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Joins a cluster with an invitation (tessera cluster invite), and works for it until it is stopped.",
        discussion: """
            The machine makes a key of its own, in ~/.config/tessera/joined, and is put on the coordinator's list. The \
            invitation is not needed again: tessera join alone goes on after a restart.
            """
    )

    @Argument(
        help: ArgumentHelp(
            "The invitation, tessera://HOST:PORT#CODE; - reads it from standard input. (default: the cluster that this machine has joined)",
            valueName: "invitation"
        )
    )
    var invitation: [String] = []

    @OptionGroup var model: ModelFlags

    @Option(help: "Threads that share one evaluation. (default: all cores)")
    var threads: Int?

    @Option(
        help:
            "Name of this machine in the cluster; a number is added where another has it. (default: its host name)"
    )
    var name: String?

    @Flag(
        help: ArgumentHelp(
            "Install a systemd unit that works for the cluster, instead of working now: root's is the whole system's, "
                + "another user's their own."
        )
    )
    var service = false

    @Flag(
        help: ArgumentHelp(
            "Find the coordinator on this network segment, where it announces itself: the invitation is then its code alone, "
                + "or the whole line, whose address is not used."
        )
    )
    var lan = false

    @OptionGroup var cache: ModelCacheFlags
    @OptionGroup var proxy: ProxyFlags
    @OptionGroup var sharing: ShareFlags
    @OptionGroup var engine: EngineFlags

    mutating func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be from 1 to 1024.")
        }
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

    func run() throws {
        try ExitStatus.reporting {
            // What would keep the worker from starting is said before the invitation is used.
            if service { try checkService() }
            let model = try workerArguments()
            let (membership, place) = try join()
            let keys = membership.keys
            let arguments =
                ["worker", "--standing", "--connect", place.endpoint, "--name", place.name]
                + ["--keys", keys.secret, "--coordinator-key", keys.coordinator]
                + (place.proxy.map { ["--socks-proxy", $0] } ?? []) + model
            guard service else { return try Spawn.become(arguments) }
            try install(arguments, place)
        }
    }

    private func checkService() throws(InputError) {
        guard ServiceUnit.isPossible else {
            throw InputError(
                "--service",
                "systemd does not manage this machine",
                fix: "Leave --service out, and let the machine start tessera join"
            )
        }
    }

    /// Variables that a worker needs wherever it is started.
    private static let variables = [
        "LD_LIBRARY_PATH", "TESSERA_TORCH", "TESSERA_MODEL", "XDG_CACHE_HOME",
        "CUDA_VISIBLE_DEVICES",
    ]

    private func install(_ arguments: [String], _ place: Membership.Place) throws {
        let unit = ServiceUnit(
            cluster: String(place.endpoint.dropFirst("tcp://".count)),
            program: Spawn.thisProgram,
            arguments: arguments,
            environment: ProcessInfo.processInfo.environment
                .filter { Self.variables.contains($0.key) }
                .merging([Spawn.withoutDefaults.name: Spawn.withoutDefaults.value]) { $1 },
            isForSystem: geteuid() == 0
        )
        let path = try unit.install(in: try unit.folder())
        StandardError.write("wrote \(path); start it with:")
        try StandardOutput.write(lines: unit.startCommands)
    }

    /// Joins, unless this machine has joined already.
    private func join() throws -> (Membership, Membership.Place) {
        let scheme = "tessera://"
        var text = try text()
        // A code alone: its address is looked for.
        if lan, !text.isEmpty, !text.contains("#") { text = "\(scheme)lan:7551#\(text)" }
        // An address without a code chooses among clusters that this machine has joined.
        if text.isEmpty || text.hasPrefix(scheme) && text != scheme && !text.contains("#") {
            return try goOn(text.isEmpty ? nil : String(text.dropFirst(scheme.count)))
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

    /// Joins the coordinator of an invitation wherever it is on this network segment.
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

    /// Goes on with a cluster that this machine has joined, as it was reached then unless a flag says otherwise.
    private func goOn(_ address: String?) throws -> (Membership, Membership.Place) {
        let (membership, before) = try Membership.only(address)
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

    /// The invitation, from the command line or standard input.
    private func text() throws -> String {
        guard invitation.count == 1, let only = invitation.first else {
            return invitation.joined(separator: " ")
        }
        guard only == "-" else { return only }
        return (readLine() ?? "").trimmingCharacters(in: .whitespaces)
            .replacing("tessera join ", with: "", maxReplacements: 1)
    }

    /// Flags for `tessera worker`.
    private func workerArguments() throws -> [String] {
        _ = try engine.onlyDevice()
        _ = try proxy.proxy()
        let own = try ownModel()
        let kept = cache.cache(fallback: UserFolder.cache.named("models"))
        try kept?.make()
        let fetching =
            kept.map { ["--model-cache", $0.path, "--model-cache-size", "\($0.limit >> 30)"] } ?? []
        return own + fetching + (try model.arguments()) + engine.arguments
            + sharing.arguments
            + (threads.map { ["--threads", "\($0)"] } ?? [])
    }

    /// The flag for this machine's own model; none if it has none, and fetches the coordinator's.
    private func ownModel() throws -> [String] {
        let path: String
        do {
            path = try ModelLocation.resolve(model.model)
        } catch {
            guard model.model == nil else { throw error }
            return []
        }
        let weights = try Model(path: path, options: try model.options())
        try weights.check(ModelNeeds(encoder: nil, texts: false))
        // A service is started in another folder.
        return ["--model", URL(fileURLWithPath: path).standardizedFileURL.path]
    }

    /// - Returns: what this machine is called; nil if it was interrupted
    private func register(
        _ code: InvitationCode,
        at endpoint: Endpoint,
        key: PublicKey
    ) throws -> String? {
        let wish = name ?? WorkerProcess.Options.hostName
        return try Registration(code, at: endpoint, key: key, name: wish)
            .register(interruptible()) { reason in
                StandardError.write(
                    reason == .nobody
                        ? "no coordinator answers at \(endpoint.address): trying until one does"
                        : "what listens at \(endpoint.address) has no keys, like a coordinator that was started before the first "
                            + "invitation: trying until the next one does"
                )
            }
    }
}
