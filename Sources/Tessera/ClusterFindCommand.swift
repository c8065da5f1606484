import ArgumentParser
import Coordinator
import Engine
import Fleet
import Foundation

extension ClusterCommand {
    /// `tessera cluster find`
    struct Find: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists coordinators that announce themselves on this network segment.",
            discussion: """
                Whoever is on the network can announce anything. Joining needs an invitation (tessera join --lan), whose \
                coordinator proves that it has the key. The exit status is 69 if there is none.
                """
        )

        @Flag(help: "Print one line of JSON.")
        var json = false

        func run() throws {
            try ExitStatus.reporting {
                let found = try LANBrowser.search()
                if json {
                    try StandardOutput.write(json: found)
                } else if !found.isEmpty {
                    try StandardOutput.write(lines: LANService.table(found))
                }
                guard !found.isEmpty else {
                    throw ClusterUnavailable(
                        "no coordinator announces itself on this network segment. Write announce: true below coordinator: in "
                            + "its cluster file, and check that both machines are on one network"
                    )
                }
            }
        }
    }
}
