import Engine
import Foundation
import TestSupport
import Testing

/// Device failures, with a fake library in place of PyTorch. Needs no PyTorch.
@Suite(.serialized) struct FakeTorchTests {
    private func options(_ folder: String) -> EngineOptions {
        EngineOptions(backend: .torch, torch: folder)
    }

    private func unet(_ folder: String) throws -> () throws -> Tensor {
        let fixture = try #require(Fixtures.networks.first)
        let unet = try UNet(model: Model(path: fixture.checkpoint), options: options(folder))
        let conditions = try Conditions(fixture)
        let latents = try fixture.tensors().tensor("unet.0.input").channelsLast()
        return {
            try unet.predict(
                latents,
                timestep: 1,
                context: conditions.context,
                pooled: conditions.pooled,
                timeIDs: conditions.timeIDs
            )
        }
    }

    @Test func aMissingFunctionIsNamed() throws {
        try FakeTorch.inTurn { folder in
            try FakeTorch.build(in: folder, defines: ["WITHOUT_DISPATCHER"])
            let error = #expect(throws: InputError.self) {
                _ = try options(folder).makeBackend()
            }
            #expect(error?.problem.contains("lacks the function torch_call_dispatcher") == true)
            #expect(error?.problem.contains("2.10 or newer is needed") == true)
        }
    }

    /// An interrupted installation: the dynamic loader would kill the process.
    @Test(arguments: [100, 5000, 9000]) func aTruncatedLibraryIsRefused(_ size: Int) throws {
        try FakeTorch.inTurn { folder in
            try FakeTorch.build(in: folder)
            let file = "\(folder)/libtorch_cpu.so"
            let whole = try Data(contentsOf: URL(fileURLWithPath: file))
            try #require(whole.count > size)
            try whole.prefix(size).write(to: URL(fileURLWithPath: file))
            let error = #expect(throws: InputError.self) {
                _ = try options(folder).makeBackend()
            }
            let problem = error?.problem ?? ""
            #expect(
                problem.contains("cannot be loaded: libtorch_cpu.so is truncated"),
                "\(problem)"
            )
        }
    }

    /// The error for weights that do not fit says which they are and what would help.
    @Test func weightsThatDoNotFitAreNamed() throws {
        try FakeTorch.inTurn { folder in
            try FakeTorch.build(in: folder)
            let error = FakeTorch.failing("full@4") {
                #expect(throws: DeviceError.self) { _ = try unet(folder)() }
            }
            let line = "\(error.map(String.init(describing:)) ?? "")"
            #expect(error?.kind == .outOfMemory, "\(line)")
            #expect(line.contains("weights of ") && line.contains("--precision bf16"), "\(line)")
        }
    }

    /// One shortage is retried: another process may free its memory a moment later.
    @Test(arguments: [2, 4, 5, 9, 30, 60, 100])
    func oneShortageOfWeightsIsTriedAgain(_ k: Int) throws {
        try FakeTorch.inTurn { folder in
            try FakeTorch.build(in: folder)
            let predict = try FakeTorch.failing("empty@\(k)") { try unet(folder) }
            let found = try predict()
            #expect(found.values.allSatisfy { $0 == 0.1 })
        }
    }

    /// Text encoders cannot be evaluated in smaller pieces: the error says what did not fit.
    @Test func promptsThatDoNotFitAreNamed() throws {
        try FakeTorch.inTurn { folder in
            try FakeTorch.build(in: folder)
            let model = try Model(path: "\(SingleFileLayout.ownFixtures)/sd15-tiny")
            let encoder = try PromptEncoder(model: model, options: options(folder))
            let error = FakeTorch.failing("full@1") {
                #expect(throws: DeviceError.self) { _ = try encoder.encode("a lake") }
            }
            // A single shortage is retried.
            #expect(throws: Never.self) {
                try FakeTorch.failing("oom@5") { _ = try encoder.encode("a lake") }
            }
            let line = "\(error.map(String.init(describing:)) ?? "")"
            #expect(error?.kind == .outOfMemory, "\(line)")
            #expect(line.contains("the text encoders on 77 tokens"), "\(line)")
            #expect(line.contains("What helps: fewer processes on the device"), "\(line)")
        }
    }

    /// A GPU is requested, but the library was built without CUDA.
    @Test func missingCUDAIsNamed() throws {
        try FakeTorch.inTurn { folder in
            try FakeTorch.build(in: folder)
            let gpu = EngineOptions(
                backend: .torch,
                device: .numbered(.cuda, 0),
                torch: folder
            )
            let error = #expect(throws: InputError.self) { _ = try gpu.makeBackend() }
            #expect(error?.problem.contains("was built without CUDA") == true)
        }
    }

    /// Wherever memory runs out, the evaluation ends with the library's message, and the next one succeeds.
    @Test(arguments: [1, 2, 17, 60, 200]) func fullMemoryEndsOneEvaluation(_ k: Int) throws {
        try FakeTorch.inTurn { folder in
            try FakeTorch.build(in: folder)
            let predict = try unet(folder)
            let error = FakeTorch.failing("oom@\(k)") {
                #expect(throws: DeviceError.self) { _ = try predict() }
            }
            #expect(error?.kind == .outOfMemory, "\(String(describing: error))")
            #expect(error?.description.contains("Tried to allocate 2.00 GiB") == true)
            #expect(try predict().values.allSatisfy { $0 == 0.1 })
        }
    }

    @Test func aLostDeviceIsToldApart() throws {
        try FakeTorch.inTurn { folder in
            try FakeTorch.build(in: folder)
            let predict = try unet(folder)
            let error = FakeTorch.failing("lost@30") {
                #expect(throws: DeviceError.self) { _ = try predict() }
            }
            #expect(error?.kind == .lost)
            #expect(error?.description.hasPrefix("cpu was lost during aten::") == true)
        }
    }

    @Test func messagesAreClassified() {
        func kind(_ message: String) -> DeviceError.Kind {
            DeviceError(device: "cuda:0", operation: "a test", message: message).kind
        }
        #expect(kind("CUDA out of memory. Tried to allocate 20.00 MiB.") == .outOfMemory)
        #expect(kind("CUDA error: out of memory") == .outOfMemory)
        #expect(kind("DefaultCPUAllocator: can't allocate memory: you tried") == .outOfMemory)
        #expect(kind("CUDA error: an illegal memory access was encountered") == .lost)
        #expect(kind("CUDA error: unspecified launch failure") == .lost)
        #expect(kind("Given groups=1, weight of size [320, 4, 3, 3]") == .failed)
    }
}
