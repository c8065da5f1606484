import Coordinator
import Engine
import Sampling
import Service
import Testing

/// What A1111's clients request.
@Suite struct A1111Tests {
    private func read(
        _ text: String,
        options: A1111Options = A1111Options(),
        isFromPicture: Bool = false
    ) throws -> A1111Request {
        try A1111Request(
            json: JSON(text.utf8, place: "test"),
            options: options,
            isFromPicture: isFromPicture
        )
    }

    @Test func theDefaultsAreThoseOfTheAPI() throws {
        let request = try read("{}")
        #expect(request.count == 1 && request.seed == nil && request.notes.isEmpty)
        #expect(request.job.prompt == " " && request.job.model == nil)
        #expect(
            request.job.settings == [
                "prompt-syntax": .string("a1111"), "rng": .string("philox"),
                "size": .string("512x512"),
            ]
        )
    }

    @Test func fieldsBecomeSettings() throws {
        let request = try read(
            """
            {"prompt": "a cat", "negative_prompt": "dogs", "steps": 20, "cfg_scale": 6.5, "width": 101, "height": 64,
             "seed": 7, "batch_size": 2, "n_iter": 3, "sampler_name": "DPM++ 2M", "scheduler": "karras",
             "override_settings": {"sd_model_checkpoint": "folder/tiny.safetensors [0123abcd]",
             "CLIP_stop_at_last_layers": 2, "randn_source": "CPU", "samples_format": "jpg", "unknown": 1},
             "alwayson_scripts": {"ADetailer": {}}, "restore_faces": true, "styles": ["x"], "subseed": -1}
            """
        )
        #expect(request.count == 6 && request.job.model == "tiny" && request.job.format == .jpeg)
        #expect(request.job.prompt == "a cat" && request.job.negativePrompt == "dogs")
        #expect(
            request.job.settings == [
                "prompt-syntax": .string("a1111"), "rng": .string("torch"),
                "size": .string("96x64"), "steps": .number(20), "guidance": .number(6.5),
                "clip-skip": .number(2), "scheduler": .string("dpmpp_2m"), "karras": .bool(true),
            ]
        )
        #expect(request.notes.count == 3 && request.notes[0].contains("ADetailer"))
        let seeds = request.jobs(seed: 1).map { $0.settings["seed"] }
        #expect(seeds == (7..<13).map { .string("\($0)") })
        #expect(try SettingChoices(json: request.job.settings).has(Settings.karras))
    }

    @Test(arguments: [
        (#""hr_scale": 2"#, "256x128"), (#""hr_resize_x": 512"#, "512x256"),
        (#""hr_resize_y": 512"#, "1024x512"),
        (#""hr_resize_x": 300, "hr_resize_y": 300"#, "296x296"),
    ]) func enlargementsAreTheLadder(_ fields: String, _ size: String) throws {
        let request = try read(#"{"enable_hr": true, "width": 128, "height": 64, \#(fields)}"#)
        #expect(request.job.settings["size"] == .string(size))
        #expect(request.job.settings["method"] == nil)
    }

    @Test func refinement() throws {
        let fields = #""hr_second_pass_steps": 5, "denoising_strength": 0.4"#
        let plain = try read(#"{"enable_hr": true, \#(fields)}"#)
        #expect(plain.notes.count == 1 && plain.job.settings["refine-steps"] == nil)
        let refined = try read(
            #"{"enable_hr": true, "hr_upscaler": "\#(A1111Request.refiner)", \#(fields)}"#
        )
        #expect(refined.job.settings["method"] == .string("refine") && refined.notes.isEmpty)
        #expect(refined.job.settings["refine-steps"] == .number(5))
        #expect(refined.job.settings["refine-from"] == .number(0.4))
        // Without enable_hr, this field has no effect.
        let small = try read(#"{"hr_upscaler": "\#(A1111Request.refiner)", \#(fields)}"#)
        #expect(small.job.settings["method"] == nil)
    }

    @Test func picturesToStartFrom() throws {
        let request = try read(
            #"{"init_images": ["abc"], "mask": "def", "inpainting_mask_invert": 1, "denoising_strength": 0.3}"#,
            isFromPicture: true
        )
        #expect(request.initImage == "abc" && request.mask == "def" && request.isMaskInverted)
        #expect(request.job.settings["strength"] == .number(0.3))
        #expect(request.job.settings["size"] == nil, "the picture's own size")
        for text in ["{}", #"{"init_images": []}"#, #"{"init_images": ["a", "b"]}"#] {
            #expect(throws: InputError.self) { try read(text, isFromPicture: true) }
        }
    }

    @Test(arguments: [
        ("[]", "the request"), (#"{"steps": 0}"#, "steps"), (#"{"steps": "4"}"#, "steps"),
        (#"{"width": 0}"#, "width"), (#"{"batch_size": 65}"#, "batch_size"),
        (#"{"batch_size": 64, "n_iter": 2}"#, "batch_size and n_iter"), (#"{"seed": -2}"#, "seed"),
        (#"{"sampler_name": "none such"}"#, "sampler_name"), (#"{"prompt": 3}"#, "prompt"),
        (#"{"enable_hr": true, "hr_scale": 1e9}"#, "hr_scale"),
        (#"{"prompt": "\u0000"}"#, "prompt"),
        (#"{"override_settings": 1}"#, "the request"),
    ]) func refusals(_ text: String, _ place: String) {
        let error = #expect(throws: InputError.self) { try read(text) }
        #expect(error?.place == place)
    }

    @Test func unknownSchedulesAreNoted() throws {
        let request = try read(#"{"sampler_name": "Euler a", "scheduler": "odd"}"#)
        #expect(request.notes.count == 1 && request.job.settings["scheduler"] == .string("euler_a"))
        let automatic = try read(#"{"sampler_index": "DPM++ 2M", "scheduler": "automatic"}"#)
        #expect(automatic.job.settings["karras"] == .bool(true))
        let linear = try read(#"{"sampler_name": "Euler"}"#)
        #expect(linear.job.settings["timestep-spacing"] == .string("linspace"))
    }

    @Test(arguments: [
        ("a", "a"), ("a.safetensors", "a"), ("a.safetensors [12ab]", "a"), ("b/a.ckpt", "a"),
        ("b\\a", "a"), ("a [x] y", "a [x] y"),
    ]) func titlesOfModels(_ title: String, _ name: String) {
        #expect(A1111Names.model(title) == name)
    }

    @Test func optionsAreKept() throws {
        var options = A1111Options()
        try options.merge(
            JSON(#"{"sd_model_checkpoint": "x [1]", "samples_format": "webp"}"#.utf8, place: "t")
        )
        #expect(options.model == "x" && options.format == .webp)
        let json = options.json(standard: "d").object
        #expect(json?["sd_model_checkpoint"] == .string("x"))
        #expect(A1111Options().json(standard: "d").object?["sd_model_checkpoint"] == .string("d"))
        #expect(try read("{}", options: options).job.model == "x")
    }
}
