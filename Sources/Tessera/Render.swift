import ArgumentParser
import Coordinator
import Foundation

/// `tessera render`: one picture, on workers that it starts itself.
struct Render: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Renders a picture on this host, or on the hosts of --cluster.")

    @OptionGroup var picture: PictureFlags
    @OptionGroup var outputs: OutputFlags
    @OptionGroup var local: LocalFlags
    @OptionGroup var engine: EngineFlags

    func run() throws {
        try ExitStatus.reporting { try Rendering(self).run() }
    }
}
