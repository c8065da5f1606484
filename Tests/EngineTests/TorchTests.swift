import Engine
import Foundation
import TestSupport
import Testing

/// What the PyTorch backend computes, beyond the suites that run on every backend. Runs on the processor: on a GPU only
/// the device of the tensors differs.
@Suite(.enabled(if: TestedBackends.hasTorch)) struct TorchTests {
    private static func options(_ precision: Precision) -> EngineOptions {
        EngineOptions(backend: .torch, precision: precision, threads: 2)
    }

    /// bfloat16 and float16: the results differ from float32's, but not by much.
    @Test(arguments: Fixtures.networks, [Precision.bf16, .f16])
    func shortNumbersAreClose(_ fixture: NetworkFixture, _ precision: Precision) throws {
        let expected = try fixture.tensors()
        let model = try Model(path: fixture.checkpoint)
        let unet = try UNet(model: model, options: Self.options(precision))
        let conditions = try Conditions(fixture)
        for j in try fixture.indices(of: "unet", "input") {
            let found = try unet.predict(
                try expected.tensor("unet.\(j).input").channelsLast(),
                timestep: try expected.tensor("unet.\(j).timestep").values[0],
                context: conditions.context,
                pooled: conditions.pooled,
                timeIDs: conditions.timeIDs
            )
            let wanted = try expected.tensor("unet.\(j).output")
            let error = rootMeanSquareError(found.channelsFirst(), wanted)
            #expect(error <= Tolerance.bfloat16, "\(fixture) unet.\(j): \(error)")
        }
        func vae(_ half: AutoencoderHalf) throws -> VAE {
            let options = Self.options(precision).computing(half)
            return try model.architecture.autoencoder(half, options)
        }
        let latent = try expected.tensor("vae.latent").channelsLast()
        let image = try expected.tensor("vae.image").channelsLast()
        let picture = try vae(.decoder).decode(latent)
        let mean = try vae(.encoder).encode(image).mean
        for (found, name) in [(picture, "vae.decoded"), (mean, "vae.mean")] {
            let error = rootMeanSquareError(found.channelsFirst(), try expected.tensor(name))
            #expect(error <= Tolerance.bfloat16, "\(fixture) \(name): \(error)")
        }
    }

    /// Adapters are merged before the weights go to the device.
    @Test(arguments: LoRATests.cases) func adaptersAreMerged(_ one: LoRATests.Case) throws {
        let expected = try SafeTensors(file: "\(one.folder)/expected.safetensors")
        expectClose(
            try LoRATests.predict(try one.model(), one.kind, Self.options(.f32)),
            try expected.tensor("\(one.name).unet"),
            within: Tolerance.parity,
            "\(one) unet"
        )
    }

    /// The same batch gives the same bytes, and every row equals its evaluation alone, except for rounding.
    @Test(arguments: Fixtures.networks, [1, 2, 5])
    func batchesAreReproducible(_ fixture: NetworkFixture, _ views: Int) throws {
        let model = try Model(path: fixture.checkpoint)
        let unet = try UNet(model: model, options: Self.options(.f32))
        let conditions = try Conditions(fixture)
        let one = try fixture.tensors().tensor("unet.0.input").channelsLast()
        func repeated(_ x: Tensor) -> Tensor {
            let parts = (0..<views).map { view in x.map { $0 * (1 + 0.1 * Float(view)) } }
            return Tensor(chaining: parts, shape: [views * x.shape[0]] + x.shape.dropFirst())
        }
        func predict(_ latents: Tensor, _ count: Int) throws -> Tensor {
            func copies(_ x: Tensor) -> Tensor {
                Tensor(
                    chaining: Array(repeating: x, count: count),
                    shape: [count * x.shape[0]] + x.shape.dropFirst()
                )
            }
            return try unet.predict(
                latents,
                timestep: 500,
                context: copies(conditions.context),
                pooled: conditions.pooled.map(copies),
                timeIDs: conditions.timeIDs.map { ids in (0..<count).flatMap { _ in ids } }
            )
        }
        let all = try predict(repeated(one), views)
        #expect(try predict(repeated(one), views).values == all.values)
        let size = all.count / views
        for view in 0..<views {
            let alone = try predict(one.map { $0 * (1 + 0.1 * Float(view)) }, 1)
            let row = Tensor(
                Array(all.values[view * size..<(view + 1) * size]),
                shape: alone.shape
            )
            expectClose(row, alone, within: Tolerance.parity, "\(fixture) view \(view) of \(views)")
        }
    }

    /// A kind of device that this PyTorch was built without.
    @Test func unusableDevicesAreNamed() throws {
        let options = EngineOptions(backend: .torch, device: .numbered(.xpu, 3))
        let error = #expect(throws: InputError.self) { _ = try options.makeBackend() }
        #expect(error?.place == "--device xpu:3")
        #expect(error?.problem.contains("this PyTorch was built without xpu") == true)
    }
}

@Suite struct DeviceNameTests {
    @Test func names() {
        #expect(DeviceName(rawValue: "cuda")?.rawValue == "cuda:0")
        #expect(DeviceName(rawValue: "cuda:12") == .numbered(.cuda, 12))
        #expect(DeviceName(rawValue: "cpu") == .processor)
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:1:2", "cpu:0", "cuda:999"] {
            #expect(DeviceName(rawValue: wrong) == nil, "\(wrong)")
        }
    }

    @Test func titlesNameTheGPUAndItsMemory() {
        let device = DeviceName.numbered(.cuda, 1)
        let gpu = TorchDevices.GPU(
            device: device,
            name: "NVIDIA H100 (PCIe)",
            freeMemory: 1,
            memory: 85_500_000_000
        )
        let title = TorchDevices.title(of: device, gpu)
        #expect(title == "NVIDIA H100 (PCIe) (cuda:1, 85.5 GB)")
        #expect(TorchDevices.model(ofTitle: title) == "NVIDIA H100 (PCIe)")
        #expect(TorchDevices.model(ofTitle: TorchDevices.title(of: device, nil)) == "cuda")
        for processor in ["cpu", "Intel(R) Xeon(R) (AVX-512)", "AMD EPYC 9B14", ""] {
            #expect(TorchDevices.model(ofTitle: processor) == nil)
        }
    }

    /// The rules of CUDA_VISIBLE_DEVICES, as CUDA documents them.
    @Test func hiddenGPUsAreNotNamed() {
        #expect(TorchDevices.visible(of: 3, nil) == [0, 1, 2])
        #expect(TorchDevices.visible(of: 3, "2, 0") == [2, 0])
        #expect(TorchDevices.visible(of: 3, "1,7,0") == [1])
        #expect(TorchDevices.visible(of: 3, "-1").isEmpty)
        #expect(TorchDevices.visible(of: 3, "").isEmpty)
        #expect(TorchDevices.visible(of: 3, "GPU-8932f937,1").isEmpty)
    }

    @Test func onlyTorchComputesElsewhere() {
        let gpu = DeviceName.numbered(.cuda, 0)
        #expect(throws: InputError.self) {
            try EngineOptions(backend: .onednn, device: gpu).check()
        }
        #expect(throws: InputError.self) { try EngineOptions(precision: .f16).check() }
        func chosen(_ precision: Precision? = nil, _ device: DeviceName? = nil) -> EngineOptions {
            let old = Processor(hasAVX2: false, hasAVX512: false, hasBFloat16: false)
            return EngineOptions.best(for: old, precision: precision, device: device, threads: 1)
                .options
        }
        #expect(chosen(nil, gpu).backend == .torch && chosen(nil, gpu).precision == .bf16)
        #expect(chosen(.f16).backend == .torch)
        #expect(chosen(nil, .processor).backend == .openblas)
    }
}

/// Where PyTorch is searched for; folders that look like installations are enough.
@Suite struct TorchFinderTests {
    private func installation(_ folder: String, _ version: String?) throws {
        try FileManager.default.createDirectory(
            atPath: "\(folder)/torch/lib",
            withIntermediateDirectories: true
        )
        try Data().write(to: URL(fileURLWithPath: "\(folder)/torch/lib/libtorch_cpu.so"))
        guard let version else { return }
        try Data("# comment\n__version__ = '\(version)'\ndebug = False\n".utf8)
            .write(to: URL(fileURLWithPath: "\(folder)/torch/version.py"))
    }

    @Test func everyFolderOfAnInstallationWillDo() throws {
        try inTemporaryFolder { root in
            let site = "\(root)/lib/python3.11/site-packages"
            try installation(site, "2.15.0+cu132")
            let finder = TorchFinder(environment: [:], python: { nil })
            for given in [root, site, "\(site)/torch", "\(site)/torch/lib"] {
                let found = try finder.find(given)
                #expect(found.folder.hasSuffix("site-packages/torch/lib"), "\(given)")
                #expect(found.version == "2.15.0+cu132")
            }
            let named = TorchFinder(environment: ["TESSERA_TORCH": root], python: { nil })
            #expect(try named.find(nil).version == "2.15.0+cu132")
            let asked = TorchFinder(environment: [:], python: { "\(site)/torch" })
            #expect(try asked.find(nil).version == "2.15.0+cu132")
            let home = TorchFinder(environment: ["VIRTUAL_ENV": root], python: { nil })
            #expect(try home.find(nil).version == "2.15.0+cu132")
        }
    }

    @Test(arguments: ["2.9.1", "1.13.0", "2.9.0+cpu"]) func oldOnesAreRefused(_ version: String)
        throws
    {
        try inTemporaryFolder { root in
            try installation(root, version)
            let finder = TorchFinder(environment: [:], python: { nil })
            let error = #expect(throws: InputError.self) { try finder.find(root) }
            #expect(error?.problem.contains("it is PyTorch \(version); 2.10 or newer") == true)
        }
    }

    @Test func absenceIsOneLine() throws {
        try inTemporaryFolder { root in
            let finder = TorchFinder(environment: ["HOME": root], python: { nil })
            // The usual places on this machine may have an installation.
            if let found = try? finder.find(nil) { #expect(!found.folder.isEmpty) }
            let error = #expect(throws: InputError.self) { try finder.find(root) }
            #expect(error?.place == "--torch \(root)")
        }
    }

    /// A file that is not a library gives an error with dlopen's message.
    @Test func damageIsOneLine() throws {
        try inTemporaryFolder { root in
            try installation(root, "2.15.0")
            let options = EngineOptions(backend: .torch, torch: root)
            let error = #expect(throws: InputError.self) { _ = try options.makeBackend() }
            #expect(error?.problem.contains("cannot be loaded") == true)
        }
    }
}
