import ArgumentParser
import Coordinator
import Engine
import Foundation
import Sampling
import Service

/// `tessera submit`: adds a picture to a service's queue.
struct Submit: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Queues a picture at tessera serve and prints the job's id.",
        discussion: """
            The flags of the picture are those of tessera render. With --wait it follows the job, stores its picture and \
            prints the picture's path.
            """
    )

    @OptionGroup(title: "Service") var server: ServerFlags
    @OptionGroup(title: "Picture") var subject: SubjectFlags
    @OptionGroup(title: "Model") var names: RemoteModelFlags
    @OptionGroup(title: "Sampling") var sampling: SamplingFlags
    @OptionGroup(title: "Start from a picture") var start: StartFlags
    @OptionGroup(title: "Large pictures") var method: MethodFlags
    @OptionGroup(title: "Large pictures") var large: LargePictureFlags
    @OptionGroup(title: "Computation") var exchange: ExchangeFlags
    @OptionGroup(title: "Output") var outputs: RemoteOutputFlags
    @OptionGroup(title: "Output") var form: RemoteFormFlags
    @OptionGroup(title: "Output") var display: DisplayFlags

    @Flag(help: "Wait until the job is done, and store its picture.")
    var wait = false

    @Option(help: ArgumentHelp("Jobs of a higher priority go first; -100 to 100.", valueName: "n"))
    var priority = 0

    @Option(
        help: ArgumentHelp(
            "A key of your own: the same submission with the same key is queued once, however often it is sent.",
            valueName: "text"
        )
    )
    var key: String?

    func run() throws {
        try ExitStatus.reporting {
            let client = try server.client()
            var request = try request()
            let place = try place(request.format)
            request.initImage = try start.initImage.map { try upload($0, "--init-image", client) }
            request.mask = try start.mask.map { try upload($0, "--mask", client) }
            guard case .object(var fields) = request.json else { return }
            if priority != 0 { fields["priority"] = .number(Double(priority)) }
            let json = try client.json(
                "POST",
                "/api/v1/jobs",
                body: ServiceClient.Body(json: .object(fields)),
                headers: key.map { [("Idempotency-Key", $0)] } ?? []
            )
            guard let job = RemoteJob(json), let name = try? JobName(job.id) else {
                throw ServiceClientError.foreign("\(client.address)")
            }
            guard let place else {
                try StandardOutput.write(display.json ? json.text : job.id)
                return
            }
            display.note("job \(job.id)")
            place.announce(display)
            let done = try RemoteWatch(client, name, isQuiet: display.quiet).run()
            try client.store(done, at: place, display)
        }
    }

    /// The request, without init image and mask.
    private func request() throws -> JobRequest {
        guard start.extend == nil else {
            throw InputError(
                "--extend",
                "the service does not extend pictures",
                fix: "Use tessera render, or a larger picture and a mask"
            )
        }
        guard
            key.map({
                (1...200).contains($0.utf8.count)
                    && $0.utf8.allSatisfy { (0x21...0x7E).contains($0) }
            }) ?? true
        else {
            throw InputError(
                "--key",
                "it is not a key",
                fix: "Use 1 to 200 letters, digits or signs, without spaces"
            )
        }
        _ = try start.choice()
        guard !subject.prompt.isEmpty else {
            throw InputError("--prompt", "it is missing", fix: "Describe the picture")
        }
        var request = JobRequest(prompt: subject.prompt)
        request.negativePrompt = subject.negativePrompt
        request.prompt2 = subject.prompt2
        request.negativePrompt2 = subject.negativePrompt2
        request.model = names.model
        request.loras = try names.loras()
        request.preset = method.preset
        request.settings =
            try SettingChoices(subject, sampling, start, method, large, exchange).json
        request.format = try form.format(outputs.output)
        request.quality = form.quality
        request.depth = PixelDepth(rawValue: form.bitDepth) ?? .eight
        return request
    }

    /// Where to save the picture; nil if it is not fetched.
    private func place(_ format: JobRequest.Format) throws(InputError) -> RenderSession.Outputs? {
        guard wait else {
            guard outputs.output == nil else {
                throw InputError(
                    "--output",
                    "nothing is stored without --wait",
                    fix: "Give --wait, or use tessera fetch later"
                )
            }
            return nil
        }
        return try outputs.place(format)
    }

    /// Maximum size of a file to send, in bytes: services accept 64 MiB by default.
    private static let largest = 1 << 30

    /// - Returns: the id that the service assigned to the picture
    private func upload(_ path: String, _ flag: String, _ client: ServiceClient) throws -> String {
        guard FileKind(path) == .regular,
            let data = try? Data(contentsOf: URL(fileURLWithPath: path)), data.count <= Self.largest
        else {
            throw InputError(
                "\(flag) \(path)",
                "it is not a file that can be read",
                fix: "Name a PNG, JPEG, WebP or TIFF"
            )
        }
        let json = try client.json(
            "POST",
            "/api/v1/pictures",
            body: ServiceClient.Body(Array(data), type: Self.type(of: path))
        )
        guard let id = json.object?["id"]?.string else {
            throw ServiceClientError.foreign("\(client.address)")
        }
        return id
    }

    private static func type(of path: String) -> String {
        switch try? PictureFormat(path: path, flag: "") {
        case .jpeg: "image/jpeg"
        case .webP: "image/webp"
        case .tiff: "image/tiff"
        case .png, nil: "image/png"
        }
    }
}

extension ServiceClient {
    /// Downloads a job's picture and prints the result.
    func store(
        _ job: RemoteJob,
        at place: RenderSession.Outputs,
        _ display: DisplayFlags
    ) throws {
        let path = try fetch(job, to: place)
        if display.json {
            var fields = job.json.object ?? [:]
            fields["picture"] = .string(
                place.isStream ? path : URL(fileURLWithPath: path).standardizedFileURL.path
            )
            if place.isStream {
                StandardError.write(JSON.object(fields).text)
            } else {
                try StandardOutput.write(JSON.object(fields).text)
            }
        } else if !place.isStream {
            try StandardOutput.write(path)
        }
    }
}

/// Names of models and LoRA files of a service.
struct RemoteModelFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "One of the service's models, by its name. (default: the service's)",
            valueName: "name"
        )
    )
    var model: String?

    @Option(
        help: ArgumentHelp(
            "One of the service's LoRA files, and its weight; may be repeated.",
            valueName: "name[:weight]"
        )
    )
    var lora: [String] = []

    /// - Throws: `InputError` for a weight that is not a number
    func loras() throws(InputError) -> [JobRequest.LoRA] {
        var loras: [JobRequest.LoRA] = []
        for text in lora {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            let weight = parts.count == 2 ? Double(parts[1]) : 1
            guard parts.count <= 2, !parts[0].isEmpty, let weight, (-100...100).contains(weight)
            else {
                throw InputError(
                    "--lora \(text)",
                    "it is not a name and a weight from -100 to 100",
                    fix: "Write it as style:0.8"
                )
            }
            loras.append(JobRequest.LoRA(name: String(parts[0]), weight: weight))
        }
        return loras
    }
}

/// The file format of a job's picture.
struct RemoteFormFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Format of the picture. (default: that of the extension of --output, else png)",
            valueName: "format"
        )
    )
    var format: PictureFormat?

    @Option(help: ArgumentHelp("Quality of a JPEG or WebP, 1 to 100.", valueName: "n"))
    var quality: Int?

    @Option(
        help: ArgumentHelp("Bits per channel, 8 or 16.", valueName: "bits"),
        completion: .list(["8", "16"])
    )
    var bitDepth = 8

    mutating func validate() throws {
        guard PixelDepth(rawValue: bitDepth) != nil else {
            throw ValidationError("--bit-depth must be 8 or 16.")
        }
        guard quality.map({ (1...100).contains($0) }) ?? true else {
            throw ValidationError("--quality must be from 1 to 100.")
        }
    }

    /// - Parameter output: the picture's path; nil if it has none
    /// - Returns: the format
    /// - Throws: `InputError` for a file extension that matches no format
    func format(_ output: String?) throws(InputError) -> JobRequest.Format {
        guard let output else { return JobRequest.Format(format ?? .png) }
        return JobRequest.Format(
            try PictureFormat(path: output, flag: "--output", given: format)
        )
    }
}
