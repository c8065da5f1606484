import Engine
import Foundation
import TestSupport
import Testing

/// Faulty files that a render would otherwise read only hours later are reported before its first step.
@Suite(.serialized) struct ModelFaultTests {
    let model = "\(SingleFileLayout.ownFixtures)/sd15-tiny"

    private func flags(_ command: String, _ folder: String, _ more: [String]) -> [String] {
        [
            command, "--prompt", "a prompt", "--size", "128x128", "--steps", "2", "--output",
            "\(folder)/out.png",
        ] + more
    }

    private func changed(
        _ part: String,
        _ change: (inout [String: RawTensor]) throws -> Void,
        _ body: (_ folder: String, _ model: String, _ weights: String) throws -> Void
    ) throws {
        try inTemporaryFolder { folder in
            let copy = "\(folder)/model"
            try FileManager.default.copyItem(atPath: model, toPath: copy)
            let weights = "\(copy)/\(part)/diffusion_pytorch_model.safetensors"
            var tensors = try RawTensor.read(weights)
            try change(&tensors)
            try RawTensor.write(tensors, to: weights)
            try body(folder, copy, weights)
        }
    }

    /// Expects one error line with these parts, and status 64.
    private func expectRefusal(_ arguments: [String], _ parts: [String]) throws {
        let command = try Command(arguments)
        #expect(command.status == 64, "\(arguments): \(command.errors)")
        #expect(command.complaints.count == 1, "\(command.errors)")
        for part in parts { #expect(command.errors.contains(part), "\(part) in \(command.errors)") }
    }

    /// Expects `inspect` to print its report and to refuse what a render would refuse.
    private func expectReport(_ model: String, _ parts: [String]) throws {
        let command = try Command(["inspect", model])
        #expect(command.status == 64, "\(command.errors)")
        #expect(command.complaints.count == 1, "\(command.errors)")
        for part in parts { #expect(command.output.contains(part), "\(command.output)") }
    }

    @Test(arguments: ["render", "plan", "coordinator"]) func aWeightOfTheDecoderIsMissing(
        command: String
    ) throws {
        let name = "decoder.conv_out.weight"
        try changed("vae") {
            $0[name] = nil
        } _: { folder, copy, weights in
            try expectRefusal(
                flags(command, folder, ["--model", copy]),
                [weights, name, "missing"]
            )
            try expectReport(copy, [weights, name, "missing"])
        }
    }

    /// Workers read weights that the render itself does not, so a part that is present must be valid.
    @Test func aWeightOfTheEncoderIsMissing() throws {
        let name = "encoder.conv_norm_out.weight"
        try changed("vae") {
            $0["encoder.another.weight"] = $0[name]
            $0[name] = nil
        } _: { folder, copy, weights in
            for command in ["render", "plan"] {
                try expectRefusal(flags(command, folder, ["--model", copy]), [weights, name])
            }
            try expectReport(copy, [weights, name])
        }
    }

    /// Training schedules whose values are all in range but whose steps are NaN.
    @Test(arguments: [
        (1e-9, true, 1000, "ddim"), (0.999, true, 1000, "ddim"), (1e-9, true, 1000, "dpmpp_2m"),
        (1e-9, true, 1000, "euler"), (0.999, false, 100_000, "euler"),
    ])
    func aScheduleHasNoNumbers(
        beta: Double,
        rescales: Bool,
        timesteps: Int,
        scheduler: String
    ) throws {
        try inTemporaryFolder { folder in
            let copy = "\(folder)/model"
            try FileManager.default.copyItem(atPath: model, toPath: copy)
            let config = "\(copy)/scheduler/scheduler_config.json"
            let data = try Data(contentsOf: URL(fileURLWithPath: config))
            var fields = try #require(
                try JSONSerialization.jsonObject(with: data) as? [String: Any]
            )
            (fields["beta_start"], fields["beta_end"]) = (beta, beta)
            (fields["rescale_betas_zero_snr"], fields["num_train_timesteps"]) = (
                rescales, timesteps
            )
            try JSONSerialization.data(withJSONObject: fields)
                .write(to: URL(fileURLWithPath: config))
            for command in ["render", "plan"] {
                let more = ["--model", copy, "--scheduler", scheduler, "--steps", "3"]
                try expectRefusal(flags(command, folder, more), [config, "noise schedule"])
            }
        }
    }

    /// Refused for any prompt, since the text encoder has no embedding for such a token.
    @Test func aTokenizerIsLargerThanItsTextEncoder() throws {
        try inTemporaryFolder { folder in
            let copy = "\(folder)/model"
            try FileManager.default.copyItem(atPath: model, toPath: copy)
            try Data(#"{"<my-cat>": 5000}"#.utf8)
                .write(to: URL(fileURLWithPath: "\(copy)/tokenizer/added_tokens.json"))
            for command in ["render", "plan"] {
                let given = flags(command, folder, ["--model", copy])
                try expectRefusal(given, ["\(copy)/tokenizer", "5001 tokens"])
            }
            try expectReport(copy, ["\(copy)/tokenizer", "5001 tokens"])
        }
    }

    /// `inspect` refuses what no render can use: a LoRA of another architecture, and a model that predicts the picture.
    @Test func inspectRefusesWhatNoRenderCanUse() throws {
        try inTemporaryFolder { folder in
            let lora = "\(folder)/flux.safetensors"
            let stem = "lora_unet_double_blocks_0_img_attn_proj"
            try RawTensor.write(
                [
                    "\(stem).lora_down.weight": RawTensor(
                        type: .float32,
                        shape: [1, 1],
                        bytes: [0, 0, 0, 0]
                    ),
                    "\(stem).lora_up.weight": RawTensor(
                        type: .float32,
                        shape: [1, 1],
                        bytes: [0, 0, 0, 0]
                    ),
                ],
                to: lora
            )
            try expectReport(lora, ["fault:", "Flux"])
            try expectRefusal(
                flags("plan", folder, ["--model", model, "--lora", lora]),
                [lora, "Flux"]
            )
            let lightning = "\(folder)/sd15_lightning_1step_x0.safetensors"
            try SingleFileLayout("sd15", size: "fixture").write(to: lightning)
            let command = try Command(["inspect", lightning, "--model-config", model])
            #expect(command.status == 64 && command.output.contains("x0"), "\(command.output)")
        }
    }

    @Test func aWorkerRefusesAtOnce() throws {
        let name = "decoder.conv_in.bias"
        try changed("vae") {
            $0[name]?.shape.append(1)
        } _: { folder, copy, weights in
            try expectRefusal(
                ["worker", "--connect", "ipc://\(folder)/nobody", "--model", copy],
                [weights, name]
            )
        }
    }

    @Test(arguments: [("unet", "conv_out.weight"), ("vae", "decoder.conv_out.weight")])
    func aCheckpointHoldsNaN(part: String, name: String) throws {
        try changed(part) { tensors in
            let nan: [UInt8] =
                tensors[name]?.type == .float32 ? [0, 0, 0xC0, 0x7F] : [0xFF, 0x7F]
            tensors[name]?.bytes.replaceSubrange(0..<nan.count, with: nan)
        } _: { folder, copy, weights in
            for command in ["render", "plan"] {
                try expectRefusal(
                    flags(command, folder, ["--model", copy]),
                    [weights, name, "NaN"]
                )
            }
            try expectReport(copy, [weights, name, "NaN"])
        }
    }

    /// The picture would replace a pipe or a device at its path.
    @Test(arguments: ["--output", "--dump"]) func resultsReplaceOnlyRegularFiles(
        flag: String
    ) throws {
        try inTemporaryFolder { folder in
            for suffix in ["pipe.png", "link.png"] {
                let place = "\(folder)/\(suffix)"
                if suffix == "pipe.png" {
                    #expect(mkfifo(place, 0o600) == 0)
                } else {
                    try FileManager.default.createSymbolicLink(
                        atPath: place,
                        withDestinationPath: "/dev/null"
                    )
                }
                for command in ["render", "plan"] {
                    let given = flags(command, folder, ["--model", model, flag, place])
                    try expectRefusal(given, ["\(flag) \(place)", "regular file"])
                }
                #expect(FileKind(place) == .special)
            }
        }
    }

    /// `plan` refuses what `render` would, and creates nothing.
    @Test func plansCheckWhereResultsGo() throws {
        try inTemporaryFolder { folder in
            func plan(_ more: String...) -> [String] {
                flags("plan", folder, ["--model", model] + more)
            }
            try expectRefusal(plan("--output", "/nowhere/out.png"), ["/nowhere"])
            try expectRefusal(plan("--save-phases", "/dev/null/phases"), ["--save-phases"])
            let phases = "\(folder)/new/phases"
            #expect(try Command(plan("--save-phases", phases)).status == 0)
            #expect(FileKind("\(folder)/new") == nil)
        }
    }

    @Test func whatIsNoFileIsNotWaitedFor() throws {
        try inTemporaryFolder { folder in
            let pipe = "\(folder)/pipe"
            #expect(mkfifo(pipe, 0o600) == 0)
            let start = ContinuousClock.now
            for flag in ["--cluster", "--init-image", "--lora", "--inputs", "--model"] {
                let given = flag == "--model" ? [] : ["--model", model]
                try expectRefusal(
                    flags("render", folder, given + [flag, pipe]),
                    [pipe, "a pipe"]
                )
            }
            #expect(ContinuousClock.now - start < .seconds(20))
            try expectRefusal(
                flags("render", folder, ["--model", model, "--cluster", "\(folder)/none.yaml"]),
                ["none.yaml", "does not exist"]
            )
        }
    }

    @Test func largePicturesAreRefusedUnread() throws {
        try inTemporaryFolder { folder in
            let photo = "\(folder)/photo.png"
            let writer = try PNGWriter(file: photo, width: 100, height: 80)
            try writer.write(rows: Array(repeating: 7, count: 100 * 80 * 3))
            try writer.finish()
            let picture = ["--model", model, "--init-image", photo, "--max-init-pixels"]
            try expectRefusal(
                flags("plan", folder, picture + ["7999"]),
                [photo, "100×80", "--max-init-pixels 8000"]
            )
            let command = try Command(flags("plan", folder, picture + ["8000"]))
            #expect(command.status == 0, "\(command.errors)")
        }
    }

    /// A guess is reported in one line, and so are settings implied by the model's name; flags take precedence.
    @Test func automaticChoicesAreReported() throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/sd15_lightning_4step.safetensors"
            try SingleFileLayout("sd15", size: "fixture").write(to: path)
            // Attention heads and vocabulary cannot be derived from a tiny model; the scheduler has to be.
            let config = "\(folder)/config"
            try FileManager.default.copyItem(atPath: model, toPath: config)
            try FileManager.default.removeItem(atPath: "\(config)/scheduler")
            let common = ["--prompt", "x", "--model", path, "--model-config", config]
            func plan(_ more: [String]) throws -> Command {
                let command = try Command(["plan"] + common + more)
                #expect(command.status == 0, "\(command.errors)")
                return command
            }
            let preset = try plan([])
            #expect(preset.errors.contains("is assumed to predict epsilon"), "\(preset.errors)")
            #expect(preset.errors.contains("--prediction"), "\(preset.errors)")
            #expect(
                preset.errors.contains("4 steps, guidance 1.0, euler, trailing timesteps"),
                "\(preset.errors)"
            )
            #expect(try preset.row("steps per phase") == ["4"])
            #expect(try preset.row("method") == ["demofusion"])
            #expect(preset.output.contains("one per view"))
            let mine = try plan(["--steps", "6", "--guidance", "2", "--scheduler", "ddim"])
            #expect(mine.errors.contains("6 steps, guidance 2.0, ddim, trailing"), "\(mine.errors)")
            #expect(try mine.row("steps per phase") == ["6"])
            let plain = try plan(["--no-model-preset", "--prediction", "epsilon"])
            #expect(plain.errors.isEmpty, "\(plain.errors)")
            #expect(try plain.row("steps per phase") == ["50"])
            // The model's own file takes precedence over its name.
            let own = "\(folder)/sd15_lightning_4step.tessera.json"
            try "{\"steps\": 5}".write(toFile: own, atomically: true, encoding: .utf8)
            let suggested = try plan([])
            #expect(suggested.output.contains("suggested         steps 5, by \(own)"))
            #expect(suggested.errors.contains("5 steps, guidance 1.0"), "\(suggested.errors)")
            #expect(try suggested.row("steps per phase") == ["5"])
            #expect(try plan(["--steps", "6"]).row("steps per phase") == ["6"])
            #expect(try plan(["--no-model-preset"]).row("steps per phase") == ["50"])
            let report = try Command(["inspect", path, "--model-config", config])
            #expect(report.output.contains("steps 5, from \(own)"), "\(report.output)")
            try "{\"steps\": 5000}".write(toFile: own, atomically: true, encoding: .utf8)
            let refused = try Command(["plan"] + common)
            #expect(refused.status == 64, "\(refused.errors)")
            #expect(
                refused.complaints.first?.contains("\(own), steps") == true,
                "\(refused.errors)"
            )
        }
    }

    /// A first phase much narrower than the model's native size often lacks the subject.
    @Test(arguments: [("768x96", true), ("128x64", false), ("128x128", false)])
    func narrowFirstPhasesAreTold(size: String, isNarrow: Bool) throws {
        try inTemporaryFolder { folder in
            let command = try Command(flags("plan", folder, ["--model", model, "--size", size]))
            #expect(command.status == 0, "\(command.errors)")
            #expect(
                command.errors.contains("with such a small height the subject may be missing")
                    == isNarrow,
                "\(command.errors)"
            )
        }
    }

    /// The timestep spacing affects the picture, and is stored in its text.
    @Test func schedulesChangeThePicture() throws {
        try inTemporaryFolder { folder in
            func render(_ more: [String]) throws -> PNGImage {
                let command = try Command(
                    flags(
                        "render",
                        folder,
                        ["--model", model, "--scheduler", "euler", "--workers", "1"] + more
                    )
                )
                #expect(command.status == 0, "\(command.errors)")
                return try PNGImage(file: "\(folder)/out.png")
            }
            let choices = [
                ["--timestep-spacing", "leading"], ["--timestep-spacing", "trailing"],
                ["--sgm-uniform"],
                ["--timestep-spacing", "trailing", "--final-sigma", "sigma_min"],
            ]
            let pictures = try choices.map(render)
            #expect(Set(pictures.map(\.pixels)).count == pictures.count)
            let told = pictures.map { $0.text["tessera"] ?? "" }
            #expect(told[1].contains("\"timestep-spacing\":\"trailing\""), "\(told[1])")
            #expect(told[2].contains("\"sgm-uniform\":true"), "\(told[2])")
            #expect(told[3].contains("\"final-sigma\":\"sigma_min\""), "\(told[3])")
        }
    }
}
