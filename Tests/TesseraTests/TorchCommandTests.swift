import Engine
import Foundation
import Tessera
import TestSupport
import Testing

/// Renders on workers that compute with PyTorch, beside other workers.
@Suite(.serialized, .enabled(if: TestedBackends.hasTorch)) struct TorchCommandTests {
    private static var torch: String { ProcessInfo.processInfo.environment["TESSERA_TORCH"] ?? "" }
    private static let shell = "[sh, -c, \"{command}\"]"

    private func host(_ site: ClusterSite, _ name: String, _ more: String) -> String {
        "  - {name: \(name), threads: 1, tessera: \(site.program), \(more)}"
    }

    /// Largest difference between two pictures, in levels.
    private func difference(_ a: Data, _ b: Data, _ folder: String) throws -> Int {
        func pixels(_ data: Data) throws -> [UInt8] {
            let path = "\(folder)/compared.png"
            try data.write(to: URL(fileURLWithPath: path))
            return try PNGImage(file: path).pixels
        }
        let (x, y) = (try pixels(a), try pixels(b))
        #expect(x.count == y.count)
        return zip(x, y).map { abs(Int($0) - Int($1)) }.max() ?? 255
    }

    /// In float32, a picture by both backends is the same as by either alone, except for rounding.
    @Test func torchAndAnotherBackendRenderOnePicture() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            let reference = try site.run(
                site.picture + ["--model", site.model, "--workers", "1", "--precision", "f32"]
            )
            #expect(reference.status == 0, "\(reference.errors)")
            let own = try site.bytes()
            try site.write(
                launch: Self.shell,
                hosts: [
                    host(site, "alpha", "backend: openblas, precision: f32"),
                    host(
                        site,
                        "beta",
                        "backend: torch, device: cpu, precision: f32, torch: \"\(Self.torch)\""
                    ),
                ].joined(separator: "\n")
            )
            let command = try site.render(["--min-workers", "2", "--precision", "f32"])
            #expect(command.status == 0, "\(command.errors)")
            #expect(command.errors.contains("alpha-1:") && command.errors.contains("beta-1:"))
            #expect(command.errors.contains("the picture depends on who renders what"))
            #expect(try difference(own, try site.bytes(), folder) <= 2)
            let text = String(decoding: try site.bytes(), as: UTF8.self)
            #expect(text.contains("openblas, torch") || text.contains("onednn, openblas, torch"))
            // PyTorch alone, on the coordinator as well.
            let alone = try site.run(
                site.picture + [
                    "--model", site.model, "--device", "cpu", "--backend", "torch", "--precision",
                    "f32", "--torch", Self.torch,
                ]
            )
            #expect(alone.status == 0, "\(alone.errors)")
            #expect(!alone.errors.contains("local-2"), "one worker for the one device")
            #expect(try difference(own, try site.bytes(), folder) <= 2)
            // In batches, run twice.
            var pictures: [Data] = []
            for _ in 0..<2 {
                let batched = try site.run(
                    site.picture + [
                        "--model", site.model, "--device", "cpu", "--backend", "torch",
                        "--precision", "f32", "--torch", Self.torch, "--batch", "5",
                    ]
                )
                #expect(batched.status == 0, "\(batched.errors)")
                pictures.append(try site.bytes())
            }
            #expect(try difference(pictures[0], pictures[1], folder) <= 2)
            #expect(try difference(own, try site.bytes(), folder) <= 2)
        }
    }

    /// Three different workers; one loses its device twice, and its process restarts.
    @Test func lostDevicesCostNothingButTime() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            // Long enough for a process to start twice.
            let steps = ["--steps", "90"]
            let alone = try site.run(
                site.picture + ["--model", site.model, "--workers", "1", "--precision", "f32"]
                    + steps
            )
            #expect(alone.status == 0, "\(alone.errors)")
            let own = try site.bytes()
            try FakeTorch.build(in: folder)
            let fake =
                "environment: {TESSERA_FAKE_TORCH: \"lost@20:\(folder)/losses\", "
                + "TESSERA_FAKE_TORCH_REAL: \"\(try TorchFinder().find(Self.torch).folder)\"}"
            try site.write(
                launch: Self.shell,
                hosts: [
                    host(site, "alpha", "precision: f32"),
                    host(site, "beta", "backend: torch, precision: bf16, torch: \"\(Self.torch)\""),
                    host(
                        site,
                        "gamma",
                        "backend: torch, precision: f32, torch: \"\(folder)\", \(fake)"
                    ),
                ].joined(separator: "\n")
            )
            let command = try site.render(["--min-workers", "3"] + steps)
            #expect(command.status == 0, "\(command.errors)")
            #expect(
                command.errors.contains("warning: gamma-1: ")
                    && command.errors.contains("starting again in 1.0 s (1 of 5)")
                    && command.errors.contains("starting again in 2.0 s (2 of 5)"),
                "\(command.errors)"
            )
            let losses = (try? Data(contentsOf: URL(fileURLWithPath: "\(folder)/losses"))) ?? Data()
            #expect(losses.count >= 2, "\(command.errors)")
            #expect(!command.errors.contains("failed"))
            // Where the processor supports bfloat16, the coordinator renders phase 1 in it.
            let limit = Processor.current.hasBFloat16 ? 8 : 2
            #expect(try difference(own, try site.bytes(), folder) <= limit)
        }
    }

    /// Two GPUs simulated on the processor: everything differs except the arithmetic.
    @Test func everyGPUHasAWorker() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            let alone = try site.run(
                site.picture + ["--model", site.model, "--workers", "1", "--precision", "f32"]
            )
            #expect(alone.status == 0, "\(alone.errors)")
            let own = try site.bytes()
            let real = try TorchFinder().find(Self.torch).folder
            let gpus = try FakeTorch.buildGPUs(in: folder, count: 2, real: real)
            func render(on devices: String) throws -> Command {
                try Command(
                    site.picture + [
                        "--model", site.model, "--device", devices, "--precision", "f32", "--torch",
                        folder,
                    ],
                    environment: gpus.merging(["XDG_STATE_HOME": "\(folder)/state"]) { a, _ in a }
                )
            }
            for devices in ["all", "cuda:0,cuda:1"] {
                let command = try render(on: devices)
                #expect(command.status == 0, "\(command.errors)")
                #expect(!command.errors.contains("depends on who"), "\(command.errors)")
                #expect(try difference(own, try site.bytes(), folder) <= 2)
                let text = String(decoding: try site.bytes(), as: UTF8.self)
                #expect(text.contains("\"cuda\""), "their kind is in the picture's text")
            }
            let wrong = try render(on: "cuda:2")
            #expect(wrong.status == 64 && wrong.complaints.count == 1, "\(wrong.errors)")
            #expect(wrong.errors.contains("--device cuda:2: PyTorch cannot use it: CUDA error"))

            let variables = gpus.map { "\($0.key): \"\($0.value)\"" }.joined(separator: ", ")
            try site.write(
                launch: Self.shell,
                hosts: host(
                    site,
                    "alpha",
                    "devices: [cuda:0, cuda:1], precision: f32, torch: \"\(folder)\", "
                        + "environment: {\(variables)}"
                )
            )
            let up = try site.cluster("up")
            #expect(up.status == 0 && up.output.contains("2/2"), "\(up.output) \(up.errors)")
            #expect(try site.render(["--min-workers", "2", "--precision", "f32"]).status == 0)
            #expect(try difference(own, try site.bytes(), folder) <= 2)
            let status = try site.cluster("status").output
            #expect(status.contains("DEVICE") && status.contains("cuda:0,cuda:1"), "\(status)")
            #expect(try site.cluster("down").status == 0)
        }
    }

    /// A device that never answers: its views go to others.
    @Test func hangingDevicesCostNothingButTime() throws {
        try inTemporaryFolder { folder in
            let site = try ClusterSite(folder)
            let steps = ["--steps", "30", "--precision", "f32"]
            let alone = try site.run(
                site.picture + ["--model", site.model, "--workers", "1"] + steps
            )
            #expect(alone.status == 0, "\(alone.errors)")
            let own = try site.bytes()
            try FakeTorch.build(in: folder)
            let real = try TorchFinder().find(Self.torch).folder
            try site.write(
                launch: Self.shell,
                hosts: [
                    host(site, "alpha", "precision: f32"),
                    host(
                        site,
                        "beta",
                        "backend: torch, torch: \"\(folder)\", environment: "
                            + "{TESSERA_FAKE_TORCH: \"hang@700\", "
                            + "TESSERA_FAKE_TORCH_REAL: \"\(real)\"}"
                    ),
                ].joined(separator: "\n")
            )
            let command = try site.render(["--min-workers", "2"] + steps)
            #expect(command.status == 0, "\(command.errors)")
            #expect(command.errors.contains("beta-1:"), "\(command.errors)")
            #expect(try difference(own, try site.bytes(), folder) <= 2)
        }
    }

    @Test func mistakesAreOneLine() throws {
        let given = [
            (["--device", "cuda:0", "--backend", "openblas"], "computes on the processor only"),
            (["--precision", "f16", "--backend", "openblas"], "does not support float16"),
            (["--backend", "torch", "--torch", "/nowhere"], "no libtorch_cpu.so"),
        ]
        for (flags, problem) in given {
            let command = try Command(["doctor"] + flags)
            #expect(command.status == 64 && command.complaints.count == 1, "\(command.errors)")
            #expect(command.errors.contains(problem), "\(command.errors)")
        }
        let doctor = try Command(["doctor", "--json", "--torch", Self.torch])
        #expect(doctor.status == 0 && doctor.output.contains("\"pytorch\":\"2."))
    }
}

@Suite struct DeviceChoiceTests {
    /// After a device is lost, the driver may refuse the next process; before that, a refusal is a command-line
    /// mistake.
    @Test func aRefusalAfterALossIsALoss() {
        let lost = DeviceError(kind: .lost, device: "cuda:0", operation: "x", message: "y")
        let refused = InputError("--device cuda:0", "PyTorch cannot use it", fix: "Wait")
        let other = InputError("--model x", "it is missing", fix: "Name another")
        for losses in [0, 1] {
            #expect(DeviceLoss.isLoss(lost, after: losses))
            #expect(DeviceLoss.isLoss(refused, after: losses) == (losses > 0))
            #expect(!DeviceLoss.isLoss(other, after: losses))
        }
    }

    /// A python3 that prints endlessly or leaves a process behind is neither waited for nor left running.
    @Test(arguments: [
        "exec yes", "yes", "sleep 61.73 & echo /nowhere", "head -c 99999999 /dev/zero",
    ])
    func pythonIsNotTrusted(script: String) throws {
        try inTemporaryFolder { folder in
            let python = "\(folder)/python3"
            try "#!/bin/sh\n\(script)\n".write(toFile: python, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o755],
                ofItemAtPath: python
            )
            let start = ContinuousClock.now
            let command = try Command(
                ["doctor"],
                environment: ["PATH": "\(folder):/usr/bin:/bin", "HOME": folder]
            )
            #expect(command.status == 0, "\(command.errors)")
            #expect(start.duration(to: .now) < .seconds(9))
            let left = try FileManager.default.contentsOfDirectory(atPath: "/proc").contains {
                let words = try? String(contentsOfFile: "/proc/\($0)/cmdline", encoding: .utf8)
                return words == "sleep\0\("61.73")\0"
            }
            #expect(!left)
        }
    }

    @Test func allNeedsAGPU() throws {
        try inTemporaryFolder { folder in
            try FakeTorch.build(in: folder)
            let command = try Command(
                [
                    "render", "--prompt", "x", "--size", "64x64", "--device", "all", "--torch",
                    folder,
                ]
            )
            #expect(command.status == 64, "\(command.output) \(command.errors)")
            #expect(
                command.errors.contains("--device all: no GPU can be used"),
                "\(command.errors)"
            )
        }
    }

    @Test func devicesTakeTurns() {
        #expect(DeviceChoice(argument: "all") == .all)
        #expect(DeviceChoice(argument: "cuda,cuda:1")?.description == "cuda:0,cuda:1")
        for wrong in ["", "cuda:0,", "cuda:0,cuda", "gpu"] {
            #expect(DeviceChoice(argument: wrong) == nil, "\(wrong)")
        }
    }
}
