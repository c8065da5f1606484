import ArgumentParser
import Coordinator
import Foundation

/// `tessera plan`: what a render would do; renders nothing.
struct Plan: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows phases, sizes, views, UNet calls and bytes of a render; renders nothing."
    )

    @OptionGroup var picture: PictureFlags
    @OptionGroup var outputs: OutputFlags
    @OptionGroup var workers: LocalFlags
    @OptionGroup var engine: EngineFlags
    @OptionGroup var job: JobFlags

    func run() throws {
        try ExitStatus.reporting {
            let session = try RenderSession(try picture.options())
            for line in PlanTable.lines(session.plan) { print(line) }
        }
    }
}
