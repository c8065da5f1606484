import Foundation
import Testing

/// Expects a render that is interrupted and resumed to write the same bytes as one that runs through.
///
/// - Parameters:
///   - arguments: arguments of the render, without its output
///   - folder: folder for the pictures and the job
/// - Throws: if a program cannot be started or a picture cannot be read
func expectSameWhenResumed(_ arguments: [String], in folder: String) throws {
    let whole = try Command(arguments + ["--output", "\(folder)/whole.png"])
    #expect(whole.status == 0, "\(whole.errors)")
    let interrupted = try Command.Running(
        arguments + ["--output", "\(folder)/out.png", "--job-dir", "\(folder)/job"]
    )
    let state = "\(folder)/job/state.safetensors"
    while !FileManager.default.fileExists(atPath: state), interrupted.process.isRunning {
        usleep(1000)
    }
    interrupted.process.interrupt()
    #expect(interrupted.finish().status == 130)
    let resumed = try Command(["resume", "\(folder)/job"])
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(
        try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
            == Data(contentsOf: URL(fileURLWithPath: "\(folder)/whole.png"))
    )
}
