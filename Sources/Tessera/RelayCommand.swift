import ArgumentParser
import Coordinator
import Engine
import Fleet
import Foundation
import Protocol

/// `tessera relay`: passes a coordinator's work on to the machines of one site.
struct RelayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay",
        abstract:
            "Passes a coordinator's work on to other machines of this site, until it is stopped.",
        discussion: """
            It joins the coordinator's cluster with an invitation, as tessera join does, and listens for the machines of this site, \
            which need no other way out. What several of them need of a latent comes to the site once. How it listens is \
            in a cluster file of its own, below coordinator:; tessera cluster invite, members and remove with that file are for \
            the site's machines.
            """
    )

    @OptionGroup var joining: JoiningFlags
    @OptionGroup var file: HostsFlags
    @OptionGroup var unit: ServiceFlag

    /// Environment variables that it needs in a systemd unit, to find the cluster that this machine has joined.
    private static let variables: Set<String> = [
        "HOME", "LD_LIBRARY_PATH", "XDG_CONFIG_HOME", "XDG_STATE_HOME",
    ]

    func run() throws {
        try ExitStatus.reporting {
            // Report anything that would keep it from listening before the invitation is used up.
            try unit.check()
            let site = try RelaySite(file.cluster)
            if EndpointUser.find(site.endpoint) != nil, !unit.service {
                throw EndpointTaken(endpoint: site.endpoint).error(waits: nil)
            }
            // A service starts in another folder.
            let path = URL(fileURLWithPath: file.cluster).standardizedFileURL.path
            let (membership, place) = try joining.join(asRelayOf: path)
            guard !unit.service else { return try install(place, path) }
            let proxy = try place.proxy.map { text throws(InputError) in try SocksProxy(text) }
            let pair = try KeyFile.pair(membership.keys.secret)
            var configuration = Relay.Configuration(
                endpoint: site.endpoint,
                security: site.security,
                coordinator: try Endpoint(place.endpoint, reach: .network)
                    .through(proxy, reach: .network),
                keys: .worker(pair, coordinator: membership.coordinator),
                name: place.name
            )
            let publication = RelayPublication(
                site,
                for: String(place.endpoint.dropFirst("tcp://".count))
            )
            configuration.noteHeard = { site.note($0) }
            configuration.noteCondition = { publication.note($0) }
            let relay: Relay
            do {
                relay = try Relay(configuration, logger: StandardErrorLog.logger)
            } catch let error as EndpointTaken {
                throw error.error(waits: nil)
            }
            Interrupts.handle { relay.stop() }
            publication.begin(at: relay.endpoint, StandardErrorLog.logger)
            defer { publication.stop() }
            StandardError.write(
                "relaying between \(place.endpoint) and workers that connect to \(relay.endpoint.address); tessera cluster "
                    + "invite --cluster \(file.cluster) prints the line with which a machine joins"
            )
            let traffic = try relay.wait()
            func size(_ bytes: Int) -> String {
                (Double(bytes) / 1e6).formatted(.number.precision(.fractionLength(1))) + " MB"
            }
            let files =
                traffic.files > 0 ? " (\(size(traffic.files)) of each were the model's files)" : ""
            StandardError.write(
                "relayed \(size(traffic.received)) from the coordinator as \(size(traffic.sent)) to workers\(files), and "
                    + "\(size(traffic.up)) back"
            )
        }
    }

    private func install(_ place: Membership.Place, _ path: String) throws {
        let address = "tessera://" + place.endpoint.dropFirst("tcp://".count)
        let arguments = ["relay", address, "--cluster", path]
        try unit.install("relay", for: place.endpoint, arguments, keeping: Self.variables)
    }
}
