import Engine
import Foundation
import Sampling

/// The settings of a render as text for the PNG: one form that other tools read, and JSON.
package struct PictureText: Sendable {
    package let prompt: String
    package let negativePrompt: String?
    package let settings: RenderSettings
    package let model: String
    package let loras: [LoRASource]
    /// File and digest of the picture that it began with.
    package let picture: (name: String, digest: String)?
    /// Chunks that the prompts were cut into.
    package let promptChunks: Int
    package let digest: String
    package let phases: [Phase]
    package let stride: WindowStride
    /// What the network was taken to predict.
    package let prediction: PredictionType?
    package let version: String

    package init(
        prompt: String,
        negativePrompt: String?,
        plan: RenderPlan,
        model: String,
        loras: [LoRASource] = [],
        picture: (name: String, digest: String)? = nil,
        promptChunks: Int = 1,
        digest: String,
        prediction: PredictionType? = nil,
        version: String
    ) {
        self.prediction = prediction
        self.prompt = prompt
        self.negativePrompt = negativePrompt
        settings = plan.settings
        self.model = model
        self.loras = loras
        self.picture = picture
        self.promptChunks = promptChunks
        self.digest = digest
        phases = plan.phases.map(\.phase)
        stride = plan.settings.stride(for: plan.model)
        self.version = version
    }

    /// Keys and values of the PNG's text chunks.
    package var chunks: [(key: String, value: String)] {
        [
            ("parameters", parameters), ("tessera", json), ("Software", "Tessera \(version)"),
        ]
    }

    /// The line format in which Stable Diffusion web interfaces exchange settings.
    package var parameters: String {
        var lines = [prompt]
        if let negativePrompt { lines.append("Negative prompt: \(negativePrompt)") }
        lines.append(settingsLine.text)
        return lines.joined(separator: "\n")
    }

    private var settingsLine: SettingsLine {
        var line = SettingsLine([
            "Steps": "\(settings.steps)", "Sampler": samplerName,
            "CFG scale": "\(settings.guidance)", "Seed": "\(settings.seed)",
            "Size": "\(settings.size.width)x\(settings.size.height)",
            "Model hash": "\(digest.prefix(10))", "Model": model, "RNG": rngName,
        ])
        // As A1111 writes it where it is not the sampler's own.
        if settings.schedule.isSGMUniform { line.add("Schedule type", "SGM Uniform") }
        // One key each: of two values with the same key, parsers keep the last.
        for (i, lora) in loras.enumerated() {
            line.add(i == 0 ? "LoRA" : "LoRA \(i + 1)", lora.description)
        }
        if let picture, let start = settings.picture {
            line.add("Denoising strength", "\(start.strength)")
            line.add("Init image hash", "\(picture.digest.prefix(10))")
            line.add("Fidelity", "\(start.fidelity)")
        }
        if let refinement = settings.method.refinement {
            line.add("Refine stride", "\(stride)")
            line.add("Refine ladder", list(scales, " "))
            line.add("Refine from", "\(refinement.from)")
            line.add("Refine steps", "\(refinement.steps)")
            line.add("Refine noise", "\(refinement.noise)")
            line.add("Refine guidance", "\(refinement.guidance)")
            line.add("Refine window weight", settings.windowWeight.rawValue)
        } else {
            addDemoFusion(to: &line)
        }
        line.add("Version", "Tessera \(version)")
        return line
    }

    private func addDemoFusion(to line: inout SettingsLine) {
        line.add("DemoFusion stride", "\(stride)")
        line.add("DemoFusion ladder", list(scales, " "))
        line.add("DemoFusion cosine scales", list(settings.cosine.exponents, " "))
        line.add("DemoFusion sigma", "\(settings.cosine.sigma)")
        line.add("DemoFusion border", settings.border.rawValue)
        if settings.windowWeight != .uniform {
            line.add("DemoFusion window weight", settings.windowWeight.rawValue)
        }
        if settings.skipBelow != 0 { line.add("DemoFusion skip below", "\(settings.skipBelow)") }
    }

    /// Every setting, keyed by the command line's flags.
    package var json: String {
        var fields: [String: Any] = [
            "prompt": prompt, "size": "\(settings.size.width)x\(settings.size.height)",
            "steps": settings.steps, "guidance": Double(settings.guidance),
            "seed": "\(settings.seed)", "rng": settings.random.rawValue,
            "scheduler": settings.scheduler.rawValue, "karras": settings.karras,
            "stride": stride.asJSON, "cosine-scales": settings.cosine.exponents,
            "sigma": settings.cosine.sigma, "ladder": scales,
            "border": settings.border.rawValue, "model": model, "model-digest": digest,
            "version": version,
        ]
        if let refinement = settings.method.refinement {
            fields["method"] = settings.method.name
            fields["refine-from"] = refinement.from
            fields["refine-steps"] = refinement.steps
            fields["refine-noise"] = refinement.noise
            fields["refine-guidance"] = Double(refinement.guidance)
        }
        if let negativePrompt { fields["negative-prompt"] = negativePrompt }
        if let picture, let start = settings.picture {
            fields["init-image"] = picture.name
            fields["init-image-digest"] = picture.digest
            fields["strength"] = start.strength
            fields["fidelity"] = start.fidelity
        }
        if let prediction { fields["prediction"] = prediction.rawValue }
        if let spacing = settings.schedule.spacing {
            fields["timestep-spacing"] = spacing.rawValue
        }
        if let final = settings.schedule.finalSigma { fields["final-sigma"] = final.rawValue }
        if settings.schedule.isSGMUniform { fields["sgm-uniform"] = true }
        // Not of one: pictures of short prompts stay as they were before there were chunks.
        if promptChunks > 1 { fields["prompt-chunks"] = promptChunks }
        if settings.wire != .f32 { fields["wire"] = settings.wire.rawValue }
        if settings.windowWeight != .uniform {
            fields["window-weight"] = settings.windowWeight.rawValue
        }
        if settings.skipBelow > 0 { fields["skip-below"] = settings.skipBelow }
        if !loras.isEmpty { fields["lora"] = loras.map(\.description) }
        let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
        let data = try? JSONSerialization.data(withJSONObject: fields, options: options)
        return data.map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    private var scales: [Double] { phases.map(\.scale) }

    private func list(_ values: [Double], _ separator: String) -> String {
        values.map { $0 == $0.rounded() ? String(Int($0)) : String($0) }
            .joined(separator: separator)
    }

    private var rngName: String {
        switch settings.random {
        case .torch: "CPU"
        case .philox: "NV"
        }
    }

    private var samplerName: String {
        let name =
            switch settings.scheduler {
            case .ddim: "DDIM"
            case .euler: "Euler"
            case .eulerAncestral: "Euler a"
            case .dpmSolver: "DPM++ 2M"
            case .lcm: "LCM"
            }
        return settings.karras ? name + " Karras" : name
    }
}

extension WindowStride: CustomStringConvertible {
    /// As on the command line.
    package var description: String {
        switch self {
        case .every(let stride): "\(stride)"
        case .window: "window"
        }
    }

    fileprivate var asJSON: Any {
        switch self {
        case .every(let stride): stride
        case .window: description
        }
    }
}
