import Engine
import Foundation
import TestSupport
import Testing

/// Real processes that are killed, stopped and resumed: the picture stays the same to the byte.
@Suite(.serialized) struct FaultTests {
    let model = Fixtures.networks.first?.checkpoint ?? ""

    private func flags(_ folder: String, _ more: [String] = []) -> [String] {
        [
            "render", "--model", model, "--prompt", "a prompt", "--size", "200x136", "--steps",
            "12", "--seed", "5", "--output", "\(folder)/out.png", "--job-dir", "\(folder)/job",
        ] + more
    }

    private func picture(_ folder: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out.png"))
    }

    /// The picture of an undisturbed render.
    private func quiet(_ more: [String] = []) throws -> Data {
        try inTemporaryFolder { folder in
            let command = try Command(flags(folder, more))
            #expect(command.status == 0, "\(command.errors)")
            // A finished job leaves nothing else behind.
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["out.png"])
            return try picture(folder)
        }
    }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// Starts a render, and waits until a checkpoint of its second phase is saved.
    private func beginAndSave(_ folder: String, _ more: [String] = []) throws -> Command.Running {
        let running = try Command.Running(flags(folder, more))
        #expect(running.waitFor("phase 2"), "\(running.errorsSoFar)")
        let deadline = ContinuousClock.now + .seconds(20)
        while !exists("\(folder)/job/state.safetensors"), ContinuousClock.now < deadline {
            usleep(2000)
        }
        return running
    }

    @Test(arguments: ["dpmpp_2m", "euler_a", "DPM++ SDE Karras", "unipc"])
    func aKilledCoordinatorIsResumedToTheSameBytes(scheduler: String) throws {
        let whole = try quiet(["--scheduler", scheduler])
        try inTemporaryFolder { folder in
            for round in 0..<3 {
                let running =
                    round == 0
                    ? try beginAndSave(folder, ["--scheduler", scheduler])
                    : try Command.Running(["resume", "\(folder)/job"])
                if round > 0 {
                    #expect(running.waitFor("resuming after"), "\(running.errorsSoFar)")
                }
                kill(running.process.processIdentifier, SIGKILL)
                _ = running.finish()
                #expect(exists("\(folder)/job/state.safetensors"))
                #expect(!exists("\(folder)/out.png"))
            }
            let command = try Command(["resume", "\(folder)/job", "--workers", "3"])
            #expect(command.status == 0, "\(command.errors)")
            #expect(command.errors.contains("resuming after"))
            #expect(try picture(folder) == whole)
            #expect(!exists("\(folder)/job"))
        }
    }

    @Test func anInterruptSaysHowToResume() throws {
        let whole = try quiet()
        try inTemporaryFolder { folder in
            let running = try beginAndSave(folder)
            kill(running.process.processIdentifier, SIGINT)
            let interrupted = running.finish()
            #expect(interrupted.status == 130)
            #expect(interrupted.errors.contains("tessera resume \(folder)/job"))
            let command = try Command(["resume", "\(folder)/job"])
            #expect(command.status == 0, "\(command.errors)")
            #expect(try picture(folder) == whole)
            // The job is finished: there is nothing left to resume.
            let again = try Command(["resume", "\(folder)/job"])
            #expect(again.status == 64 && again.complaints.count == 1, "\(again.errors)")
        }
    }

    @Test func damagedJobsAreRefusedInOneLine() throws {
        try inTemporaryFolder { folder in
            let running = try beginAndSave(folder)
            kill(running.process.processIdentifier, SIGKILL)
            _ = running.finish()
            let (state, job) = ("\(folder)/job/state.safetensors", "\(folder)/job/job.json")
            let (wholeState, wholeJob) = (
                try Data(contentsOf: URL(fileURLWithPath: state)),
                try String(contentsOfFile: job, encoding: .utf8)
            )
            func refuses(_ what: String, _ more: [String] = []) throws {
                let command = try Command(["resume", "\(folder)/job"] + more)
                #expect(command.status == 64, "\(what): \(command.errors)")
                #expect(command.complaints.count == 1, "\(what): \(command.errors)")
            }
            try wholeState.dropLast(7).write(to: URL(fileURLWithPath: state))
            try refuses("a state that was cut off")
            try wholeState.write(to: URL(fileURLWithPath: state))
            try refuses("other settings", ["--steps", "13"])
            for (from, to) in [("\"settings\"", "\"sittings\""), ("{", ""), ("render", "rinder")] {
                try wholeJob.replacing(from, with: to)
                    .write(toFile: job, atomically: true, encoding: .utf8)
                try refuses("\(from) as \(to)")
            }
            try wholeJob.write(toFile: job, atomically: true, encoding: .utf8)
            // Meanwhile, the folder does not accept another job.
            let other = try Command(flags(folder))
            #expect(other.status == 64 && other.complaints.count == 1, "\(other.errors)")
            #expect(try Command(["resume", "\(folder)/job"]).status == 0)
        }
    }

    /// The worker is hung, not dead: copies of its views go to others, and the render continues at once.
    @Test func aStoppedWorkerChangesNothing() throws {
        let whole = try quiet()
        try inTemporaryFolder { folder in
            let running = try beginAndSave(folder, ["--workers", "3"])
            let children = running.children
            let victim = try #require(children.first)
            #expect(kill(victim, SIGSTOP) == 0)
            let command = running.finish()
            #expect(command.status == 0, "\(command.errors)")
            #expect(try picture(folder) == whole)
            #expect(children.allSatisfy { kill($0, 0) != 0 })
        }
    }

    /// A worker that dies or hangs while it holds tiles of a picture that is being encoded or decoded.
    @Test(arguments: [SIGKILL, SIGSTOP]) func tilesThatAreLostAreComputedAgain(signal: Int32) throws
    {
        try inTemporaryFolder { folder in
            let photo = "\(folder)/photo.png"
            let writer = try PNGWriter(file: photo, width: 264, height: 258)
            let numbers = (0..<264 * 258 * 3).map { (i: Int) -> UInt8 in
                let (row, column) = (i / 792, i % 792)
                return UInt8(row / 2 + column / 9 + i % 7)
            }
            try writer.write(rows: numbers)
            try writer.finish()
            func flags(_ workers: String) -> [String] {
                [
                    "render", "--model", model, "--prompt", "a prompt", "--init-image", photo,
                    "--strength", "0", "--size", "1064x1040", "--seed", "5", "--output",
                    "\(folder)/out.png", "--workers", workers, "--threads-per-worker", "1",
                ]
            }
            let command = try Command(flags("1"))
            #expect(command.status == 0, "\(command.errors)")
            let whole = try picture(folder)
            // One signal during encoding, the other during decoding.
            let event = signal == SIGKILL ? "encoding the picture" : "phase 1"
            let running = try Command.Running(flags("2"))
            #expect(running.waitFor(event), "\(running.errorsSoFar)")
            let victim = try #require(running.children.first)
            #expect(kill(victim, signal) == 0)
            let again = running.finish()
            #expect(again.status == 0, "\(again.errors)")
            #expect(try picture(folder) == whole)
        }
    }

    @Test func theGlobalPassIsTheSameAnywhere() throws {
        let whole = try quiet()
        #expect(try quiet(["--global-pass", "workers", "--workers", "3"]) == whole)
        #expect(try quiet(["--global-pass", "workers", "--workers", "1"]) == whole)
        // Half precision gives a different picture, but the same one everywhere.
        let half = try quiet(["--wire", "f16", "--workers", "1"])
        #expect(half != whole)
        #expect(try quiet(["--wire", "f16", "--workers", "2"]) == half)
        #expect(
            try quiet(["--wire", "f16", "--workers", "2", "--global-pass", "workers"]) == half
        )
    }

    /// All workers are gone for good: status 69, and a hint on how to resume.
    @Test func nobodyLeftIsUnavailableAndCanBeResumed() throws {
        let whole = try quiet()
        try inTemporaryFolder { folder in
            let running = try beginAndSave(folder, ["--workers", "2"])
            for child in running.children { kill(child, SIGKILL) }
            let command = running.finish()
            #expect(command.status == 69, "\(command.errors)")
            #expect(command.errors.contains("tessera resume \(folder)/job"))
            #expect(try Command(["resume", "\(folder)/job"]).status == 0)
            #expect(try picture(folder) == whole)
        }
    }
}
